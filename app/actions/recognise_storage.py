"""Make sure that a process works on the storage that the registry's files lie in, and on no other.

The storage carries a mark and the registry knows it. A worker with a folder of its own would find no dataset and leave
its checkpoints where nobody sees them; a service with another's storage would sweep away that other's files.
"""

from contextlib import suppress

from app.errors import Conflict
from app.registry.artifact_store import choose_store, keep_store, known_store
from app.registry.database import Database, new_id
from app.registry.tables import ArtifactStore
from app.storage import Storage

USE_HINT = "correct CALIPER_DATA_DIR or CALIPER_ARTIFACTS_URL; if the files were moved there: caliper registry use-storage"
SHARE_HINT = (
    "mount the API's folder here and name it with CALIPER_DATA_DIR, or keep artifacts in a store "
    "(CALIPER_ARTIFACTS_URL, the same on every host)"
)


def recognise_storage(database: Database, storage: Storage) -> None:
    """For the API: a registry without a storage and a storage without a mark are joined for good.

    Raises Conflict where the storage is another registry's, or not this registry's; Unavailable.
    """
    known = _known(database) or _choose(database, storage)
    if not known.is_marked and storage.read_mark() is None:
        with suppress(Conflict):  # another process of this service was first
            storage.write_mark(known.mark)
    _require(known, storage, USE_HINT)
    if not known.is_marked:
        with database.write() as session:
            keep_store(session, known.mark, storage.address)


def require_same_storage(database: Database, storage: Storage) -> None:
    """For a worker: raises Conflict, in words, where it would work on other files than the API; Unavailable."""
    known = _known(database)
    if known is not None and known.is_marked:
        _require(known, storage, SHARE_HINT)


def use_storage(database: Database, storage: Storage) -> None:
    """For whoever has moved the files: the registry knows this storage as its own from here on."""
    mark = storage.read_mark()
    if mark is None:
        mark = new_id("storage")
        storage.write_mark(mark)
    with database.write() as session:
        keep_store(session, mark, storage.address)


def _known(database: Database) -> ArtifactStore | None:
    with database.read() as session:
        return known_store(session)


def _choose(database: Database, storage: Storage) -> ArtifactStore:
    """A storage that nobody has marked becomes this registry's.

    The row is written before the mark: whoever sees a mark and no row looks once more, then it is another's.
    """
    if storage.read_mark() is not None:
        known = _known(database)
        if known is None:
            raise Conflict(f"{storage.address} belongs to another registry", hint=USE_HINT)
        return known
    with database.write() as session:
        return choose_store(session, storage.address)


def _require(known: ArtifactStore, storage: Storage, hint: str) -> None:
    mark = storage.read_mark()
    if mark == known.mark:
        return
    is_other = "has no mark" if mark is None else "has another mark"
    raise Conflict(
        f"{storage.address} is not where the registry's artifacts lie: it {is_other}. They lie in {known.address}",
        hint=hint,
    )
