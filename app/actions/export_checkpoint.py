"""Export a registered checkpoint in another library's format."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from app.checkpoint.report import CheckpointReport
from app.errors import UnreadableCheckpoint
from app.export.pieces import Export
from app.export.plan import plan_export
from app.registry.checkpoints import find_checkpoint
from app.registry.database import Database
from app.storage import ReadAhead, Storage


@dataclass(frozen=True, slots=True)
class PlannedExport:
    """An export that can be sent."""

    checkpoint_id: str
    """Id of the checkpoint."""
    sha256: str
    """Hash of its file."""
    storage: Storage
    """Where its file lies."""
    export: Export
    """The plan."""

    def blocks(self) -> Iterator[bytes]:
        """The export's bytes. Raises UnreadableCheckpoint where the stored file turns out to be damaged."""
        with self.storage.ranges(self.sha256) as file:
            yield from self.export.blocks(ReadAhead(file.read, file.size))


def export_checkpoint(database: Database, storage: Storage, id_or_alias: str, kind: str) -> PlannedExport:
    """Plan the export of a stored checkpoint; by its report, which was made when it was taken in.

    Raises NotFound, NotExportable where the format cannot hold it, InvalidInput for an unknown format, and
    UnreadableCheckpoint.
    """
    with database.read() as session:
        row = find_checkpoint(session, id_or_alias)
    if not row.report:
        raise UnreadableCheckpoint("nothing is known of what is in this file", hint="upload it again")
    report = replace(CheckpointReport.from_plain(dict(row.report)), sha256=row.sha256)
    with storage.ranges(row.sha256) as file:
        export = plan_export(report, file, kind)
    return PlannedExport(row.id, row.sha256, storage, export)
