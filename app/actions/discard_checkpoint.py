"""Delete a checkpoint."""

from contextlib import suppress

from app.access import LOCAL, Caller, require_owner
from app.errors import StoreUnavailable
from app.registry.checkpoints import delete_checkpoint, find_checkpoint
from app.registry.database import Database
from app.storage import Storage


def discard_checkpoint(
    database: Database, storage: Storage, id_or_alias: str, caller: Caller = LOCAL
) -> None:
    """Mark the checkpoint as deleted and remove its bytes where no other row needs them.

    Raises NotFound, Forbidden (another key's).
    """
    with database.write() as session:
        checkpoint = find_checkpoint(session, id_or_alias)
        require_owner(caller, checkpoint.key_id, f"the checkpoint {checkpoint.id}")
        orphaned = delete_checkpoint(session, checkpoint)
    if orphaned:
        with suppress(StoreUnavailable):  # no row names it any more: the sweep will take it
            storage.remove(checkpoint.sha256)
