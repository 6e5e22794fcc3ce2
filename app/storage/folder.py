"""The storage in a folder of this machine, or one that all hosts mount."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.checkpoint.source import RangeReader
from app.errors import Conflict
from app.storage.storage import Storage
from app.storage.stored import Found, Identity, Stored, missing_file, split_hash
from app.storage.uploads import FileUploads

MARK = "storage_id"
"""File, or object, that holds a storage's mark."""


class FolderStorage(Storage):
    """A folder of files by content hash."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.address = f"the folder {root}"
        self.objects = root / "objects"
        self.objects.mkdir(parents=True, exist_ok=True)
        self.uploads = FileUploads(self)
        self._mark = root / MARK

    def path(self, sha256: str) -> Path:
        """Where the file with this hash lies; NotFound where it is missing."""
        path = self._place(sha256)
        if not path.is_file():
            raise missing_file(sha256)
        return path

    def adopt(self, path: Path, stored: Stored, name: str = "") -> None:  # noqa: ARG002 - files have none here
        """Move a finished file to its place, durably; one that is there already is replaced by its equal."""
        place = self._place(stored.sha256)
        place.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(path, place)  # noqa: PTH105 - the atomic rename, named as the system names it
        sync_folder(place.parent)

    def find(self, sha256: str) -> Found:
        """Size and time of a stored file."""
        with _reading(sha256):
            known = self.path(sha256).stat()
        return Found(known.st_size, known.st_mtime)

    @contextmanager
    def local_copy(self, sha256: str, pulse: Callable[[], None] = lambda: None) -> Iterator[Path]:  # noqa: ARG002
        """The file itself."""
        yield self.path(sha256)

    @contextmanager
    def ranges(self, sha256: str) -> Iterator[RangeReader]:
        """The file, open until the block ends: its removal meanwhile does no harm."""
        with _reading(sha256):
            opened = self.path(sha256).open("rb", buffering=0)
        with opened as file:
            descriptor = file.fileno()

            def read(offset: int, length: int) -> bytes:
                return os.pread(descriptor, length, offset)

            yield RangeReader(os.fstat(descriptor).st_size, read)

    def link_for(self, sha256: str, seconds: float) -> None:
        """A folder has no URLs."""

    def pin(self, sha256: str, at: Path) -> bool:
        """Hold the file by a hard link, which costs no room."""
        try:
            at.hardlink_to(self._place(sha256))
        except FileNotFoundError:
            return False
        return True

    def listed(self) -> dict[str, Identity]:
        """Every stored file: its hash, and which file it is."""
        found = (path for folder in self.objects.iterdir() for path in folder.iterdir())
        known = ((path.parent.name + path.name, _identity(path)) for path in found)
        return {sha256: identity for sha256, identity in known if identity is not None}

    def remove(self, sha256: str) -> None:
        """Delete a file; nothing happens where it is missing."""
        self._place(sha256).unlink(missing_ok=True)

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

    def read_mark(self) -> str | None:
        """What stands in its mark."""
        try:
            return self._mark.read_text().strip()
        except FileNotFoundError:
            return None

    def write_mark(self, mark: str, *, replace: bool = False) -> None:
        """Write the mark, whole or not at all."""
        with self.receive() as path:
            path.write_text(f"{mark}\n")
            try:
                path.replace(self._mark) if replace else self._mark.hardlink_to(path)
            except FileExistsError as error:
                raise Conflict(f"{self.address} is marked already") from error
        sync_folder(self._mark.parent)

    def _place(self, sha256: str) -> Path:
        folder, name = split_hash(sha256)
        return self.objects / folder / name


@contextmanager
def _reading(sha256: str) -> Iterator[None]:
    """Say NotFound also of a file that is deleted between the look whether it is there and its use."""
    try:
        yield
    except FileNotFoundError as error:
        raise missing_file(sha256) from error


def _identity(path: Path) -> Identity | None:
    """Which file lies there; None where none does."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return (found.st_ino, found.st_mtime_ns)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
