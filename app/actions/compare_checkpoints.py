"""Say what differs between two checkpoints, registered or uploaded."""

from app.actions.inspect_upload import Upload, inspect_upload
from app.checkpoint.diff import CheckpointDiff, compare_reports
from app.checkpoint.lineage import Origin
from app.checkpoint.report import CheckpointReport
from app.errors import UnreadableCheckpoint
from app.registry.checkpoints import ancestors_of, checkpoint_datasets, files_of, find_checkpoint
from app.registry.database import Database, Session
from app.registry.tables import Checkpoint
from app.settings import Settings
from app.storage import Storage


def compare_checkpoints(database: Database, left: str, right: str) -> CheckpointDiff:
    """Compare two registered checkpoints by id or alias, from their stored reports. Raises NotFound."""
    with database.read() as session:
        rows = [find_checkpoint(session, name) for name in (left, right)]
        ours, theirs = (origin_of(session, row) for row in rows)
    return compare_reports(report_of(rows[0]), report_of(rows[1]), (ours, theirs))


def report_of(row: Checkpoint) -> CheckpointReport:
    """The stored report; UnreadableCheckpoint for a row that has none."""
    if not row.report:
        raise UnreadableCheckpoint(
            f"the checkpoint {row.id} was registered without a report", hint="upload its file again"
        )
    return CheckpointReport.from_plain(row.report)


def origin_of(session: Session, row: Checkpoint) -> Origin:
    """Where the registry knows a checkpoint to come from."""
    ancestors = ancestors_of(session, row)
    datasets = tuple(checkpoint_datasets(session, [row])[row.id])
    return Origin(row.id, ancestors, row.job_id, datasets, files_of(session, ancestors))


def compare_uploads(
    storage: Storage, settings: Settings, left: Upload, right: Upload, *, names: tuple[str, str]
) -> CheckpointDiff:
    """Compare two uploads, one after the other; nothing is kept. Raises as `inspect_upload` does."""
    ours, theirs = (
        inspect_upload(storage, settings, upload, name=name, with_statistics=True)
        for upload, name in zip((left, right), names, strict=True)
    )
    return compare_reports(ours, theirs)
