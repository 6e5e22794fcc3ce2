"""Copies of a store's files on this machine's disk: each verified, least recently used ones dropped first.

Several threads and processes share it. A copy is held by a shared lock while it is used; whoever fetches one holds its
unfinished file alone, others that want the same wait for it. The kernel drops the locks of the dead, so
that nothing needs to be cleaned up after a crash: an unfinished file is fetched anew.
"""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.errors import StoreUnavailable
from app.storage.stored import hash_file

UNFINISHED = ".unfinished"
"""What the name of a copy ends with while it is fetched."""

POLL_SECONDS = 0.1
PATIENCE_SECONDS = 3_600.0
"""How long another process' fetch of the same file is awaited."""

Fetch = Callable[[Path], None]
"""Writes the file to a path."""


@dataclass(frozen=True)
class ArtifactCache:
    """A folder of copies by their hash."""

    folder: Path
    limit: int
    """Bytes that it may hold while nothing larger is in use."""

    @contextmanager
    def hold(
        self, sha256: str, size: int, fetch: Fetch, pulse: Callable[[], None] = lambda: None
    ) -> Iterator[Path]:
        """The copy, verified, until the block ends; fetched where there is none or it was damaged.

        What is larger than the limit is fetched all the same and dropped after use. Raises StoreUnavailable where
        what was fetched is not the file, or the disk has no room for it. `pulse` is called while another's fetch is awaited.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        place = self.folder / sha256
        file = self._open_verified(place) or self._fetch(place, size, fetch, pulse)
        try:
            os.utime(place)
            yield place
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # said outright: a forked child may have the file open too
            file.close()
            self.evict(0)

    def evict(self, room: int) -> None:
        """Drop what was unused the longest until `room` more bytes fit; what is in use stays."""
        entries = sorted(self._entries())
        size = sum(each[1] for each in entries)
        for _, length, path in entries:
            if size + room <= self.limit:
                return
            if _drop_unused(path):
                size -= length

    def _entries(self) -> Iterator[tuple[int, int, Path]]:
        """Time of last use, size and path of each file; unfinished ones that nobody fetches come first."""
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):
                known = path.stat()
                used = 0 if path.name.endswith(UNFINISHED) else known.st_mtime_ns
                yield used, known.st_size, path

    def _open_verified(self, place: Path) -> BinaryIO | None:
        """The copy, held, if there is a sound one."""
        file = _open_held(place, fcntl.LOCK_SH)
        if file is None or hash_file(place).sha256 == place.name:
            return file
        file.close()
        _drop_unused(place)
        return None

    def _fetch(self, place: Path, size: int, fetch: Fetch, pulse: Callable[[], None]) -> BinaryIO:
        """Fetch beside, hold it against its hash, and only then give it its name."""
        unfinished = place.with_name(place.name + UNFINISHED)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            if (ready := self._open_verified(place)) is not None:
                return ready  # another has fetched it meanwhile
            file = _create_alone(unfinished)
            if file is not None and not place.exists():
                break
            if file is not None:  # finished between the two looks
                _give_up(unfinished, file)
                continue
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"another process has been fetching {place.name} for too long")
            pulse()
            time.sleep(POLL_SECONDS)
        try:
            self.evict(size)
            _fetch_whole(unfinished, file, fetch, place.name)
            unfinished.rename(place)
            fcntl.flock(file, fcntl.LOCK_SH)
        except BaseException:
            _give_up(unfinished, file)
            raise
        return file


def _fetch_whole(unfinished: Path, file: BinaryIO, fetch: Fetch, sha256: str) -> None:
    try:
        file.truncate(0)
        fetch(unfinished)
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        hint = "make room below CALIPER_DATA_DIR, or lower CALIPER_ARTIFACT_CACHE_BYTES"
        raise StoreUnavailable(f"no room for a copy of {sha256}: {error.strerror}", hint=hint) from error
    if hash_file(unfinished).sha256 != sha256:
        raise StoreUnavailable(
            f"the artifact store gave other bytes for {sha256}: their hash differs",
            hint="the object was damaged or replaced; restore it from a backup",
        )


def _give_up(unfinished: Path, file: BinaryIO) -> None:
    unfinished.unlink(missing_ok=True)
    fcntl.flock(file, fcntl.LOCK_UN)
    file.close()


def _create_alone(path: Path) -> BinaryIO | None:
    """The unfinished file, this process' alone; None while another's fetch goes on."""
    path.touch()
    return _open_held(path, fcntl.LOCK_EX)


def _open_held(path: Path, lock: int) -> BinaryIO | None:
    """The file, opened and locked; None where there is none, or another holds it otherwise."""
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        return None
    # Another may have dropped it, or given it its final name, between the opening and the lock.
    with suppress(FileNotFoundError, BlockingIOError):
        fcntl.flock(file, lock | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    file.close()
    return None


def _drop_unused(path: Path) -> bool:
    """Delete a file that nobody holds."""
    with suppress(OSError), path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
        return True
    return False
