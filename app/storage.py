"""Files by content: a checkpoint or a dataset lies under its sha256 and nowhere else.

No name that a client gives is ever part of a path.
"""

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.errors import LimitExceeded, NotFound

CHUNK_BYTES = 1 << 20
"""How much is read at once; memory stays flat whatever the file's size."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file in the storage."""

    sha256: str
    bytes: int


class Storage:
    """A local folder of files by content hash."""

    def __init__(self, root: Path) -> None:
        self.objects = root / "objects"
        self.incoming = root / "incoming"
        for folder in (self.objects, self.incoming):
            folder.mkdir(parents=True, exist_ok=True)

    def path(self, sha256: str) -> Path:
        """Where the file with this hash lies; NotFound where it is missing."""
        path = self._place(sha256)
        if not path.is_file():
            raise NotFound(
                f"the stored file {sha256} is missing", hint="its bytes were deleted or lost; upload it again"
            )
        return path

    @contextmanager
    def receive(self) -> Iterator[Path]:
        """A path to write a new file to, on the same disk; what is left there at the end is removed."""
        path = self.incoming / f"{os.getpid()}-{secrets.token_hex(8)}"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def spool(self, source: BinaryIO, target: Path, *, limit: int, limit_name: str) -> Stored:
        """Copy an upload to `target` while hashing it; LimitExceeded as soon as it passes `limit` bytes."""
        digest = hashlib.sha256()
        size = 0
        with target.open("wb") as file:
            while chunk := source.read(CHUNK_BYTES):
                size += len(chunk)
                if size > limit:
                    raise LimitExceeded(limit_name, limit=limit, actual=size, hint="the rest was not read")
                digest.update(chunk)
                file.write(chunk)
        return Stored(digest.hexdigest(), size)

    def adopt(self, path: Path, stored: Stored) -> None:
        """Move a finished file to its place, durably; a file that is there already wins."""
        place = self._place(stored.sha256)
        place.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(path, place)  # noqa: PTH105 - the atomic rename, named as the system names it
        _sync_folder(place.parent)

    def remove(self, sha256: str) -> None:
        """Delete a file; nothing happens where it is missing."""
        self._place(sha256).unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Room left on the storage's disk."""
        return shutil.disk_usage(self.objects).free

    def _place(self, sha256: str) -> Path:
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise NotFound(f"{sha256[:80]!r} is no sha256", hint="64 hexadecimal digits")
        return self.objects / sha256[:2] / sha256[2:]


def hash_file(path: Path) -> Stored:
    """The hash and the size of a file, read in chunks."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return Stored(digest.hexdigest(), path.stat().st_size)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
