"""The bytes of unfinished uploads, which arrive in parts: in a file each, on this machine's disk."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from app.errors import Conflict
from app.storage.spool import SpoolFolder


class PartWriter(Protocol):
    """Appends to an upload."""

    received: int
    """Bytes that had arrived when it was opened."""

    def write(self, data: bytes) -> object:
        """Append."""

    def take_back(self) -> None:
        """Drop what was written since it was opened."""

    def close(self) -> None:
        """Make what was written last."""


class Uploads(Protocol):
    """Where parts wait until their upload is whole; the ids are those that the registry knows."""

    def begin(self, upload_id: str) -> None:
        """Make a place for an upload."""

    def received(self, upload_id: str) -> int:
        """Bytes that have arrived."""

    def append(self, upload_id: str) -> PartWriter:
        """Open an upload to go on with it; Conflict where another request is seen to do so."""

    def whole(self, upload_id: str) -> AbstractContextManager[Path]:
        """The file of all bytes, held until the block ends; whoever adopts or empties it ends the upload's bytes."""

    def is_written_to(self, upload_id: str) -> bool:
        """Whether a part is on its way."""

    def drop(self, upload_id: str) -> None:
        """Forget the bytes; nothing happens where there are none."""


class FilePart:
    """A part on its way to an upload's file, which it holds until it is closed."""

    def __init__(self, file: BinaryIO) -> None:
        self.received = file.seek(0, os.SEEK_END)
        self._file = file

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)

    def take_back(self) -> None:
        """Cut the file where the part began."""
        self._file.truncate(self.received)

    def close(self) -> None:
        """Bring the bytes to the disk and let the file go."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()


class FileUploads:
    """One file an upload, among the incoming ones: its length is what has arrived, and survives a restart."""

    def __init__(self, folder: SpoolFolder) -> None:
        self._folder = folder

    def begin(self, upload_id: str) -> None:
        """Make an empty file."""
        self._folder.waiting(upload_id).touch(exist_ok=False)

    def received(self, upload_id: str) -> int:
        """Its length."""
        path = self._folder.waiting(upload_id)
        return path.stat().st_size if path.exists() else 0

    def append(self, upload_id: str) -> FilePart:
        """Open and hold the file; Conflict where another request has it."""
        return FilePart(lock_file(self._folder.waiting(upload_id)))

    @contextmanager
    def whole(self, upload_id: str) -> Iterator[Path]:
        """The file, held against writers."""
        path = self._folder.waiting(upload_id)
        with lock_file(path):
            yield path

    def is_written_to(self, upload_id: str) -> bool:
        """Whether a request holds the file."""
        path = self._folder.waiting(upload_id)
        try:
            if path.exists():
                lock_file(path).close()
        except Conflict:
            return True
        return False

    def drop(self, upload_id: str) -> None:
        """Remove the file."""
        self._folder.waiting(upload_id).unlink(missing_ok=True)


def lock_file(path: Path) -> BinaryIO:
    """An upload's file, opened to append and held until it is closed; Conflict where another request has it."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise written_elsewhere() from None
    return file


def written_elsewhere() -> Conflict:
    """The error for a part while another one is on its way."""
    hint = "HEAD says how much has arrived; send one part after the other"
    return Conflict("another request is writing to this upload", hint=hint)
