"""The storage in an S3-compatible store: the same layout as the folder's, below a prefix of a bucket."""

import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Literal

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store

from app.checkpoint.source import RangeReader
from app.errors import Conflict, NotFound, StoreUnavailable
from app.settings import Settings
from app.storage.cache import ArtifactCache
from app.storage.connect import asking, connect_store, missing_bucket
from app.storage.folder import MARK
from app.storage.removal import Removals
from app.storage.storage import Storage
from app.storage.store_uploads import StoreUploads
from app.storage.stored import Found, Identity, Stored, missing_file, split_hash

PART_BYTES, PARALLEL_PARTS = 8 << 20, 4
"""Size of the parts that a file is sent and fetched in, and how many at once: what is held in memory."""

ADOPTIONS = 3
"""Times that a file is sent anew because a sweep removed its equal meanwhile."""


class S3Storage(Storage):
    """Objects by content hash; this machine's disk holds incoming files and a bounded cache of copies."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.artifacts_dir)
        self.address = settings.artifacts_url + (
            f" at {settings.artifacts_endpoint}" if settings.artifacts_endpoint else ""
        )
        self.store: S3Store = connect_store(settings)
        self.cache = ArtifactCache(settings.artifacts_dir / "cache", settings.artifact_cache_bytes)
        self.uploads = self._blocks = StoreUploads(self.store, self.receive)
        self._removals = Removals(self.store)

    def adopt(self, path: Path, stored: Stored, name: str = "") -> None:
        """Send a finished file, in parts where it is large; one that is there already, by hash and size, stays."""
        key = _key(stored.sha256)
        for _ in range(ADOPTIONS):
            if self._holds(key, stored.bytes):
                self._removals.keep(stored.sha256)
            else:
                self._send(path, key, name)
            if self._removals.await_end(stored.sha256) and self._holds(key, stored.bytes):
                path.unlink(missing_ok=True)
                return
        raise StoreUnavailable(
            f"the artifact store does not keep {stored.sha256}", hint="check its rules of expiry"
        )

    def find(self, sha256: str) -> Found:
        """Size and time of a stored file; one request."""
        meta = self._head(_key(sha256))
        if meta is None:
            raise missing_file(sha256)
        return meta

    @contextmanager
    def local_copy(self, sha256: str, pulse: Callable[[], None] = lambda: None) -> Iterator[Path]:
        """A verified copy from the cache, fetched where it has none."""
        key, size = _key(sha256), self.find(sha256).bytes
        with self.cache.hold(sha256, size, partial(self._fetch, key, size, pulse), pulse) as path:
            yield path

    @contextmanager
    def ranges(self, sha256: str) -> Iterator[RangeReader]:
        """The object by ranges, a request each."""
        key = _key(sha256)
        yield RangeReader(self.find(sha256).bytes, partial(self._read, key), sha256)

    def link_for(self, sha256: str, seconds: float) -> str:
        """A presigned URL: whoever has it may read this one object until it expires."""
        with asking("sign a URL"):
            return obstore.sign(self.store, "GET", _key(sha256), timedelta(seconds=seconds))

    def pin(self, sha256: str, at: Path) -> bool:
        """Copy the object: a store has no links."""
        try:
            with self.local_copy(sha256) as path:
                shutil.copyfile(path, at)
        except NotFound:
            return False
        return True

    def sweep(self, older_than_seconds: float) -> int:
        """The same for this machine's incoming files, and for what was left behind in the store."""
        self._removals.forget_old()
        if math.isfinite(older_than_seconds):
            self._blocks.forget_older(older_than_seconds)
        return super().sweep(older_than_seconds)

    def listed(self) -> dict[str, Identity]:
        """Every stored file: its hash, its ETag and when it was stored."""
        found: dict[str, Identity] = {}
        with asking("list its files"):
            try:
                for batch in obstore.list(self.store, "objects"):
                    for meta in batch:
                        _, folder, name = meta["path"].rsplit("/", 2)
                        found[folder + name] = (meta["e_tag"] or "", meta["last_modified"].isoformat())
            except FileNotFoundError as error:
                raise missing_bucket() from error
        return found

    def remove(self, sha256: str) -> None:
        """Delete an object; nothing happens where it is missing."""
        with asking("delete a file"):
            obstore.delete(self.store, _key(sha256))

    def remove_if_same(self, sha256: str, identity: Identity) -> bool:
        """Delete an object unless it was stored again, or adopted again, meanwhile; see `removal`."""
        if not self._removals.begin(sha256):
            return False
        try:
            if self._identity(_key(sha256)) != identity:
                return False
            self.remove(sha256)
            return True
        finally:
            self._removals.end(sha256)

    def read_mark(self) -> str | None:
        """What stands in its mark."""
        with asking("give its mark"):
            try:
                return bytes(obstore.get(self.store, MARK).bytes()).decode(errors="replace").strip()
            except FileNotFoundError:
                return None

    def write_mark(self, mark: str, *, replace: bool = False) -> None:
        """Write the mark, by a conditional put."""
        mode: Literal["overwrite", "create"] = "overwrite" if replace else "create"
        with asking("take a mark"):
            try:
                obstore.put(self.store, MARK, f"{mark}\n".encode(), mode=mode)
            except AlreadyExistsError as error:
                raise Conflict(f"{self.address} is marked already") from error
            except FileNotFoundError as error:
                raise missing_bucket() from error

    def _send(self, path: Path, key: str, name: str) -> None:
        """One request, or parts that become an object once all are there; each is signed with its own hash."""
        attributes = {"Content-Disposition": f'attachment; filename="{name}"'} if name else {}
        with asking("take a file"):
            try:
                obstore.put(
                    self.store,
                    key,
                    path,
                    attributes=attributes,
                    chunk_size=PART_BYTES,
                    max_concurrency=PARALLEL_PARTS,
                )
            except FileNotFoundError as error:
                raise missing_bucket() from error

    def _fetch(self, key: str, size: int, pulse: Callable[[], None], at: Path) -> None:
        """Fetch a whole object, a few parts at once, each tried again where its connection breaks."""
        with at.open("wb") as file:
            for start in range(0, size, PARALLEL_PARTS * PART_BYTES):
                pulse()
                until = min(size, start + PARALLEL_PARTS * PART_BYTES)
                starts = range(start, until, PART_BYTES)
                for part in self._read_parts(key, [(at_, min(until, at_ + PART_BYTES)) for at_ in starts]):
                    file.write(part)

    def _read_parts(self, key: str, spans: list[tuple[int, int]]) -> Iterator[bytes]:
        starts, ends = [start for start, _ in spans], [end for _, end in spans]
        with asking("give a file"):
            try:
                found = obstore.get_ranges(self.store, key, starts=starts, ends=ends, coalesce=0)
            except FileNotFoundError as error:
                raise missing_file(key) from error
        yield from map(bytes, found)

    def _read(self, key: str, offset: int, length: int) -> bytes:
        if length == 0:
            return b""
        with asking("give a range"):
            try:
                return bytes(obstore.get_range(self.store, key, start=offset, length=length))
            except FileNotFoundError as error:
                raise missing_file(key) from error

    def _holds(self, key: str, size: int) -> bool:
        found = self._head(key)
        return found is not None and found.bytes == size

    def _head(self, key: str) -> Found | None:
        with asking("look up a file"):
            try:
                meta = obstore.head(self.store, key)
            except FileNotFoundError:
                return None
        return Found(meta["size"], meta["last_modified"].timestamp())

    def _identity(self, key: str) -> Identity | None:
        with asking("look up a file"):
            try:
                meta = obstore.head(self.store, key)
            except FileNotFoundError:
                return None
        return (meta["e_tag"] or "", meta["last_modified"].isoformat())


def _key(sha256: str) -> str:
    return "/".join(("objects", *split_hash(sha256)))
