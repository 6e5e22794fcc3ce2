"""Files by content: a checkpoint or a dataset lies under its sha256 and nowhere else.

No name that a client gives is ever part of a path.
"""

import fcntl
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.errors import LimitExceeded, NotFound

INCOMING = "incoming"
"""Folder of files that are still arriving: on the disk of the others, so that a finished one is only renamed."""

LOCK = "lock"
"""File in an incoming folder that its writer keeps locked."""

UPLOAD_NAME = re.compile(r"upload_[0-9a-f]{22}")
"""Names of files that wait for their next part, with no writer in between."""

Identity = tuple[int, int]
"""Inode and time of writing: the same bytes stored again are another file."""

CHUNK_BYTES = 1 << 20
"""How much is read at once; memory stays flat whatever the file's size."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file in the storage."""

    sha256: str
    bytes: int


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


class Storage:
    """A local folder of files by content hash."""

    def __init__(self, root: Path) -> None:
        self.objects = root / "objects"
        self.incoming = root / INCOMING
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
        """A path to write a new file to, on the same disk; what is left in its folder at the end is removed.

        The folder is held by a lock, which the kernel drops when this process dies: `sweep` knows by it.
        """
        folder = self.incoming / f"{os.getpid()}-{secrets.token_hex(8)}"
        with _held_folder(folder):
            try:
                yield folder / "file"
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def waiting(self, upload_id: str) -> Path:
        """Where the bytes of an unfinished upload wait; `upload_id` is one that the registry knows."""
        if not UPLOAD_NAME.fullmatch(upload_id):
            raise NotFound(f"{upload_id[:80]!r} is no upload", hint="POST /uploads begins one")
        return self.incoming / upload_id

    def sweep(self, older_than_seconds: float) -> int:
        """Remove what killed processes left among the incoming files, and what nobody wrote to for so long."""
        oldest = time.time() - older_than_seconds
        return sum(_sweep_away(path, oldest) for path in self.incoming.iterdir())

    def listed(self) -> dict[str, Identity]:
        """Every stored file: its hash, and which file it is."""
        found = (path for folder in self.objects.iterdir() for path in folder.iterdir())
        known = ((path.parent.name + path.name, _identity(path)) for path in found)
        return {sha256: identity for sha256, identity in known if identity is not None}

    def remove_if_same(self, sha256: str, identity: Identity) -> bool:
        """Delete a file unless it was stored again meanwhile; False where it was, or is gone."""
        place = self._place(sha256)
        with self.receive() as aside:
            try:
                place.rename(aside)
            except FileNotFoundError:
                return False
            if _identity(aside) == identity:
                return True
            with suppress(FileExistsError):
                os.link(aside, place)
            return False

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


def _identity(path: Path) -> Identity | None:
    """Which file lies there; None where none does."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return (found.st_ino, found.st_mtime_ns)


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


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
