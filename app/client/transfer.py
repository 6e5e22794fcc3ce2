"""Downloads: what arrives is kept beside the target, and moved there once it is whole and verified."""

import hashlib
import os
import re
from pathlib import Path

import httpx

from app.client.calls import OnProgress
from app.client.errors import ServiceError

CHUNK_BYTES = 1 << 20


class Download:
    """A file on its way to `target`; its part file is named by the hash, so a later run goes on with it."""

    def __init__(
        self, target: Path, *, sha256: str, size: int, on_progress: OnProgress = lambda *_: None
    ) -> None:
        self.target = target
        self.sha256 = sha256
        self.size = size
        self._on_progress = on_progress
        self._part = target.with_name(f".{target.name}.{sha256[:16]}.part")
        target.parent.mkdir(parents=True, exist_ok=True)
        self._part.touch()
        if self.received > size:
            self._truncate()

    @property
    def received(self) -> int:
        """Bytes that have arrived."""
        return self._part.stat().st_size

    @property
    def missing(self) -> int:
        """Bytes that have not."""
        return self.size - self.received

    def begin(self, response: httpx.Response) -> None:
        """Look where an answer starts: at the part's end, or at the file's where the range was not taken."""
        if response.status_code != httpx.codes.PARTIAL_CONTENT:
            self._truncate()
            return
        content_range = response.headers.get("content-range", "")
        found = re.match(r"bytes (\d+)-", content_range)
        if found is None or int(found[1]) != self.received:
            raise self._corrupt(f"asked for bytes from {self.received:,}, was sent {content_range!r}")

    def write(self, chunk: bytes) -> None:
        """Keep bytes that arrived."""
        with self._part.open("ab") as file:
            file.write(chunk)
        if self.received > self.size:
            raise self._corrupt(f"more than the announced {self.size:,} bytes arrived")
        self._on_progress(self.received, self.size)

    def require_whole(self) -> None:
        """Raise where the service ended an answer before the last byte, without an error."""
        if self.missing:
            raise self._corrupt(f"{self.received:,} of the announced {self.size:,} bytes arrived")

    def finish(self) -> Path:
        """Verify the hash and move the file to its place in one step; the part is dropped where it is wrong."""
        with self._part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        if digest != self.sha256:
            raise self._corrupt(f"the bytes have the sha256 {digest}, expected {self.sha256}")
        self._part.replace(self.target)
        return self.target

    def _truncate(self) -> None:
        os.truncate(self._part, 0)

    def _corrupt(self, detail: str) -> ServiceError:
        self._part.unlink(missing_ok=True)
        return ServiceError(
            f"the download of {self.target.name} is not what was stored: {detail}",
            code="corrupt_download",
            hint="what arrived was dropped; download it again",
        )
