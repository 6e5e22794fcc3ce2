"""Read a registered checkpoint anew: by today's reader, a few kilobytes by ranges, wherever its file lies."""

from dataclasses import replace

from app.actions.inspect_upload import sandbox_limits
from app.checkpoint.report import CheckpointReport
from app.checkpoint.sandbox import inspect_in_child
from app.registry.checkpoints import find_checkpoint
from app.registry.database import Database
from app.settings import Settings
from app.storage import Storage


def inspect_stored(
    database: Database, storage: Storage, settings: Settings, id_or_alias: str
) -> CheckpointReport:
    """What is in the stored file; its row keeps the report that was made when it was taken in.

    Raises NotFound, and what an inspection raises: UnreadableCheckpoint, LimitExceeded, Unavailable.
    """
    with database.read() as session:
        row = find_checkpoint(session, id_or_alias)
    with storage.ranges(row.sha256) as file:
        report = inspect_in_child(
            file, sandbox=sandbox_limits(settings), name=row.name, with_sha256=False, with_statistics=True
        )
    return replace(report, sha256=row.sha256)
