"""What an API key uses: open jobs, stored bytes, hours that its jobs ran."""

from datetime import datetime
from typing import Any

from sqlalchemy import extract, func, select
from sqlalchemy.orm import Session

from app.jobs.lifecycle import ENDED
from app.registry.tables import Attempt, Checkpoint, Dataset, Job, Upload, utc_now

SECONDS_PER_HOUR = 3_600.0


def count_open_jobs(session: Session, key_id: str) -> int:
    """Jobs of the key that wait or run."""
    query = select(func.count()).select_from(Job)
    return session.scalars(query.where(Job.key_id == key_id, Job.state.not_in(ENDED))).one()


def count_stored_bytes(session: Session, key_id: str, *, without_upload: str | None = None) -> int:
    """Bytes of its uploads: checkpoints that are not deleted, datasets, and files that are still to come in parts.

    Deleted datasets count: their bytes stay for the jobs that trained on them. What its jobs wrote does not count.
    """
    kept = select(func.sum(Checkpoint.bytes)).where(
        Checkpoint.key_id == key_id, Checkpoint.kind == "uploaded", Checkpoint.deleted_at.is_(None)
    )
    bars = select(func.sum(Dataset.bytes)).where(Dataset.key_id == key_id)
    coming = select(func.sum(Upload.bytes)).where(
        Upload.key_id == key_id, Upload.checkpoint_id.is_(None), Upload.expires_at > utc_now()
    )
    if without_upload is not None:
        coming = coming.where(Upload.id != without_upload)
    return sum(int(session.scalars(query).one() or 0) for query in (kept, bars, coming))


def count_hours(session: Session, key_id: str, since: datetime) -> float:
    """Hours that attempts at its jobs ran, of those that began after `since`; a running one until it was last heard of."""
    end = func.coalesce(Attempt.ended_at, Attempt.heartbeat_at)
    seconds = func.sum(_epoch(session, end) - _epoch(session, Attempt.started_at))
    query = select(seconds).join(Job, Job.id == Attempt.job_id)
    found = session.scalars(query.where(Job.key_id == key_id, Attempt.started_at > since)).one()
    return max(0.0, float(found or 0.0)) / SECONDS_PER_HOUR


def _epoch(session: Session, time: Any) -> Any:
    """A column of times in seconds, as each database counts them."""
    if session.get_bind().dialect.name == "sqlite":
        return func.julianday(time) * 86_400.0
    return extract("epoch", time)
