"""Delete a checkpoint."""

from app.registry.checkpoints import delete_checkpoint, find_checkpoint
from app.registry.database import Database
from app.storage import Storage


def discard_checkpoint(database: Database, storage: Storage, id_or_alias: str) -> None:
    """Mark the checkpoint as deleted and remove its bytes where no other row needs them. Raises NotFound."""
    with database.write() as session:
        checkpoint = find_checkpoint(session, id_or_alias)
        orphaned = delete_checkpoint(session, checkpoint)
    if orphaned:
        storage.remove(checkpoint.sha256)
