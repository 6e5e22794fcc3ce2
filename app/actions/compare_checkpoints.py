"""Say what differs between two checkpoints, registered or uploaded."""

from typing import BinaryIO

from app.actions.inspect_upload import inspect_upload
from app.checkpoint.diff import CheckpointDiff, compare_reports
from app.checkpoint.report import CheckpointReport
from app.registry.checkpoints import find_checkpoint
from app.registry.database import Database
from app.settings import Settings
from app.storage import Storage


def compare_checkpoints(database: Database, left: str, right: str) -> CheckpointDiff:
    """Compare two registered checkpoints by id or alias, from their stored reports. Raises NotFound."""
    with database.read() as session:
        rows = [find_checkpoint(session, name) for name in (left, right)]
    return compare_reports(*(CheckpointReport.from_plain(row.report) for row in rows))


def compare_uploads(
    storage: Storage, settings: Settings, left: BinaryIO, right: BinaryIO, *, names: tuple[str, str]
) -> CheckpointDiff:
    """Compare two uploads, one after the other; nothing is kept. Raises as `inspect_upload` does."""
    reports = [
        inspect_upload(storage, settings, upload, name=name)
        for upload, name in zip((left, right), names, strict=True)
    ]
    return compare_reports(*reports)
