"""Files on their way into the storage: written and hashed on this machine's disk, under a lock of their writer."""

import fcntl
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from app.errors import LimitExceeded, NotFound
from app.storage.stored import CHUNK_BYTES, Stored

INCOMING = "incoming"
"""Folder of files that are still arriving: on the disk of the others, so that a finished one is only renamed."""

LOCK = "lock"
"""File in an incoming folder that its writer keeps locked."""

UPLOAD_NAME = re.compile(r"upload_[0-9a-f]{22}")
"""Names of files that wait for their next part, with no writer in between."""


class Spool:
    """A file that is hashed while it is written, once and in order; `close` removes it unless it was adopted."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{os.getpid()}-{secrets.token_hex(8)}"
        self._file = _create_held(self.path)
        self._digest = hashlib.sha256()
        self._size = 0

    @property
    def stored(self) -> Stored:
        """Hash and size of what was written; all of it is on its way to the disk."""
        self._file.flush()
        return Stored(self._digest.hexdigest(), self._size)

    def write(self, data: bytes) -> int:
        """Append."""
        self._digest.update(data)
        self._size += len(data)
        return self._file.write(data)

    def read(self, size: int = -1) -> bytes:
        """Read what was written, from where `seek` went."""
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move the reading position."""
        return self._file.seek(offset, whence)

    def close(self) -> None:
        """Close the file and remove it where nobody adopted it."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class SpoolFolder:
    """The folder of incoming files, which every storage has on the machine that writes them."""

    def __init__(self, root: Path) -> None:
        self.incoming = root / INCOMING
        self.incoming.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def receive(self) -> Iterator[Path]:
        """A path to write a new file to; what is left in its folder at the end is removed.

        The folder is held by a lock, which the kernel drops when this process dies: `sweep` knows by it.
        """
        folder = self.incoming / f"{os.getpid()}-{secrets.token_hex(8)}"
        with _held_folder(folder):
            try:
                yield folder / "file"
            finally:
                shutil.rmtree(folder, ignore_errors=True)

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

    def waiting(self, upload_id: str) -> Path:
        """Where the bytes of an unfinished upload wait; `upload_id` is one that the registry knows."""
        if not UPLOAD_NAME.fullmatch(upload_id):
            raise NotFound(f"{upload_id[:80]!r} is no upload", hint="POST /uploads begins one")
        return self.incoming / upload_id

    def sweep(self, older_than_seconds: float) -> int:
        """Remove what killed processes left among the incoming files, and what nobody wrote to for so long."""
        oldest = time.time() - older_than_seconds
        return sum(_sweep_away(path, oldest) for path in self.incoming.iterdir())

    def free_bytes(self) -> int:
        """Room left on the disk that incoming files are written to."""
        return shutil.disk_usage(self.incoming).free


@contextmanager
def _held_folder(folder: Path) -> Iterator[None]:
    """A new folder with a lock of this process."""
    with _create_held(folder / LOCK):
        yield


def _create_held(path: Path) -> BinaryIO:
    """A new file that is locked until it is closed; one that a sweep took before the lock is made again."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # the sweep took its folder
            file = path.open("x+b")
            fcntl.flock(file, fcntl.LOCK_SH)
            if path.exists():
                return file
            file.close()


def _sweep_away(path: Path, oldest: float) -> bool:
    """Remove one incoming entry where its writer is dead or, of unfinished uploads, silent since `oldest`."""
    lock_at = path / LOCK if path.is_dir() else path
    try:
        if UPLOAD_NAME.fullmatch(path.name) and path.stat().st_mtime >= oldest:
            return False
        with lock_at.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            return True
    except BlockingIOError:
        return False
    except FileNotFoundError:
        with suppress(OSError):
            path.rmdir()  # a folder whose maker died before it locked it
        return False
