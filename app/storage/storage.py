"""What a storage of artifacts can do, wherever the bytes lie."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from app.checkpoint.source import RangeReader
from app.storage.spool import SpoolFolder
from app.storage.stored import Found, Identity, Stored
from app.storage.uploads import Uploads


class Storage(SpoolFolder, ABC):
    """Files by content hash. A new one is written and hashed on this machine's disk, then adopted.

    Raises NotFound for a hash of which nothing is stored, StoreUnavailable where a store does not answer.
    """

    address: str
    """Where it is, in words for people; without secrets."""
    uploads: Uploads
    """The bytes of uploads that are not whole yet."""

    @abstractmethod
    def adopt(self, path: Path, stored: Stored, name: str = "") -> None:
        """Bring a finished file to its place, durably; on return its row may name it, and `path` is gone.

        `name` is what a store offers the file under to whoever downloads it there; the first one stays.
        """

    @abstractmethod
    def find(self, sha256: str) -> Found:
        """Size and time of a stored file."""

    @abstractmethod
    def local_copy(
        self, sha256: str, pulse: Callable[[], None] = lambda: None
    ) -> AbstractContextManager[Path]:
        """The whole file on this machine's disk, not to be changed, until the block ends.

        `pulse` is called now and then while it is fetched; what that raises ends the fetching.
        """

    @abstractmethod
    def ranges(self, sha256: str) -> AbstractContextManager[RangeReader]:
        """The file by byte ranges, of which nothing is kept."""

    @abstractmethod
    def link_for(self, sha256: str, seconds: float) -> str | None:
        """A URL at which anybody may download the file for so long; None where there are none."""

    @abstractmethod
    def pin(self, sha256: str, at: Path) -> bool:
        """Put the file at a path in an incoming folder, where its removal does not reach it; False where it is gone."""

    @abstractmethod
    def listed(self) -> dict[str, Identity]:
        """Every stored file: its hash, and which file it is."""

    @abstractmethod
    def remove(self, sha256: str) -> None:
        """Delete a file; nothing happens where it is missing."""

    @abstractmethod
    def remove_if_same(self, sha256: str, identity: Identity) -> bool:
        """Delete a file unless it was stored again meanwhile; False where it was, or is gone."""

    @abstractmethod
    def read_mark(self) -> str | None:
        """The text by which its registry knows this storage; None where it has none yet."""

    @abstractmethod
    def write_mark(self, mark: str, *, replace: bool = False) -> None:
        """Leave that text. Raises Conflict where another one is there already, unless `replace`."""
