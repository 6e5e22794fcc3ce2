"""The bytes of unfinished uploads in a store: any API process goes on where another one was broken off.

An upload is a row of blocks, `uploads/<id>/<offset>`, each put on the condition that there is none: of two requests
that write at one place the first wins, and the other learns of it. No file of this machine is needed until
the upload is whole.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store

from app.errors import NotFound
from app.storage.connect import asking
from app.storage.spool import UPLOAD_NAME
from app.storage.uploads import written_elsewhere

BLOCK_BYTES = 8 << 20
"""How much of a part is held in memory until it is put."""

BUSY_FOR = timedelta(minutes=10)
"""How long after its last block a part counts as on its way."""

FOLDER = "uploads"


class BlockPart:
    """A part on its way, block by block."""

    def __init__(self, store: S3Store, folder: str, received: int) -> None:
        self.received = received
        self._store = store
        self._folder = folder
        self._at = received
        self._waiting = bytearray()
        self._written: list[str] = []

    def write(self, data: bytes) -> None:
        """Append; Conflict where another request has written there."""
        self._waiting += data
        while len(self._waiting) >= BLOCK_BYTES:
            self._put(BLOCK_BYTES)

    def take_back(self) -> None:
        """Remove the blocks that were put, the last one first: what is left is always without a gap."""
        self._waiting.clear()
        for key in reversed(self._written):
            with asking("take a part back"):
                obstore.delete(self._store, key)
        self._written, self._at = [], self.received

    def close(self) -> None:
        """Put what is left."""
        if self._waiting:
            self._put(len(self._waiting))

    def _put(self, length: int) -> None:
        key = f"{self._folder}/{self._at:016d}"
        with asking("take a part"):
            try:
                obstore.put(self._store, key, bytes(self._waiting[:length]), mode="create")
            except AlreadyExistsError as error:
                self._waiting.clear()
                raise written_elsewhere() from error
        self._written.append(key)
        self._at += length
        del self._waiting[:length]


class StoreUploads:
    """Uploads as rows of blocks; `receive` gives a path to put a whole one together at."""

    def __init__(self, store: S3Store, receive: Callable[[], AbstractContextManager[Path]]) -> None:
        self._store = store
        self._receive = receive

    def begin(self, upload_id: str) -> None:
        """An upload without blocks needs no place."""
        _folder(upload_id)

    def received(self, upload_id: str) -> int:
        """Where the row of blocks ends."""
        return sum(size for _, size in self._blocks(upload_id))

    def append(self, upload_id: str) -> BlockPart:
        """Go on behind the last block."""
        return BlockPart(self._store, _folder(upload_id), self.received(upload_id))

    @contextmanager
    def whole(self, upload_id: str) -> Iterator[Path]:
        """All blocks in one file; where it was adopted or emptied they go."""
        with self._receive() as path:
            with path.open("wb") as file:
                for key, _ in self._blocks(upload_id):
                    with asking("give a part"):
                        file.write(obstore.get(self._store, key).bytes())
            try:
                yield path
            finally:
                if not path.exists() or not path.stat().st_size:
                    self.drop(upload_id)

    def is_written_to(self, upload_id: str) -> bool:
        """Whether a block came lately."""
        lately = datetime.now(UTC) - BUSY_FOR
        return any(modified > lately for _, _, modified in self._listed(_folder(upload_id)))

    def drop(self, upload_id: str) -> None:
        """Remove all blocks, the last one first."""
        keys = [key for key, _, _ in self._listed(_folder(upload_id))]
        for key in reversed(keys):
            with asking("drop an upload"):
                obstore.delete(self._store, key)

    def forget_older(self, seconds: float) -> None:
        """Remove blocks that nobody has added to for so long: their row is lost."""
        oldest = datetime.now(UTC) - timedelta(seconds=seconds)
        newest: dict[str, datetime] = {}
        for key, _, modified in self._listed(FOLDER):
            upload_id = key.split("/")[1]
            newest[upload_id] = max(modified, newest.get(upload_id, modified))
        for upload_id, modified in newest.items():
            if modified < oldest and UPLOAD_NAME.fullmatch(upload_id):
                self.drop(upload_id)

    def _blocks(self, upload_id: str) -> Iterator[tuple[str, int]]:
        """Keys and sizes of the blocks that follow one another without a gap."""
        end = 0
        for key, size, _ in self._listed(_folder(upload_id)):
            if int(key.rpartition("/")[2]) != end:
                return
            yield key, size
            end += size

    def _listed(self, folder: str) -> list[tuple[str, int, datetime]]:
        with asking("list uploads"):
            found = [meta for batch in obstore.list(self._store, folder) for meta in batch]
        return sorted((meta["path"], meta["size"], meta["last_modified"]) for meta in found)


def _folder(upload_id: str) -> str:
    if not UPLOAD_NAME.fullmatch(upload_id):
        raise NotFound(f"{upload_id[:80]!r} is no upload", hint="POST /uploads begins one")
    return f"{FOLDER}/{upload_id}"
