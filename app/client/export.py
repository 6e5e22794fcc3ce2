"""An export on its way: made while it is sent, so it begins anew where it broke off, and has no hash beforehand."""

import os
import secrets
from pathlib import Path

import httpx

from app.client import calls
from app.client.errors import ServiceError
from app.client.steps import Fetch, Steps, Work


class IncomingExport:
    """A file on its way to `target`, in place only when all of its announced bytes have arrived."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self._part = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
        self._announced = 0
        target.parent.mkdir(parents=True, exist_ok=True)

    def begin(self, response: httpx.Response) -> None:
        """Note how much is to come."""
        self._announced = int(response.headers["content-length"])
        self._part.write_bytes(b"")

    def write(self, chunk: bytes) -> None:
        """Keep bytes that arrived."""
        with self._part.open("ab") as file:
            file.write(chunk)

    def finish(self) -> Path:
        """Put the file in its place. Raises ServiceError where bytes are missing."""
        received = self._part.stat().st_size
        if received != self._announced:
            raise ServiceError(
                f"the export {self.target.name} broke off: {received:,} of {self._announced:,} bytes arrived",
                code="corrupt_download",
                hint="what arrived was dropped; ask for it again",
            )
        with self._part.open("rb") as file:
            os.fsync(file.fileno())
        self._part.replace(self.target)
        return self.target

    def drop(self) -> None:
        """Remove what arrived of a file that is not in its place."""
        self._part.unlink(missing_ok=True)


def export_checkpoint(id_or_alias: str, kind: str, target: Path) -> Steps[Path]:
    """Fetch a checkpoint's export; nothing of one that broke off is left."""
    incoming = IncomingExport(target)
    try:
        yield Fetch(calls.export(id_or_alias, kind), incoming)
        path: Path = yield Work(incoming.finish)
        return path
    finally:
        incoming.drop()
