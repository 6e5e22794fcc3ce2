"""Whose lease or time is over: what the sweep finds, and locks to end it."""

from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.jobs.lifecycle import FINISH
from app.registry.attempts import Hold
from app.registry.database import DatabaseNow
from app.registry.tables import Attempt, Job


def expired_leases(session: Session) -> Sequence[Hold]:
    """Jobs, with fences, whose holder has not been heard of in time."""
    return [Hold(job_id, fence) for job_id, fence in session.execute(_expired())]


def lock_expired(session: Session, hold: Hold) -> bool:
    """Lock a job whose lease is still expired; False where it is not, or where another reaper has it."""
    still = _expired().where(Job.id == hold.job_id, Job.fence == hold.fence)
    return session.execute(still.with_for_update(skip_locked=True)).first() is not None


def overdue_attempts(session: Session, grace_seconds: float) -> Sequence[Hold]:
    """Jobs, with fences, whose deadline passed this long ago and that their holders have not ended."""
    return [Hold(job_id, fence) for job_id, fence in session.execute(_overdue(grace_seconds))]


def lock_overdue(session: Session, hold: Hold, grace_seconds: float) -> bool:
    """As `lock_expired`, for a deadline."""
    still = _overdue(grace_seconds).where(Job.id == hold.job_id, Job.fence == hold.fence)
    return session.execute(still.with_for_update(of=Job, skip_locked=True)).first() is not None


def _expired() -> Select[str, int]:
    return select(Job.id, Job.fence).where(
        Job.state.in_(FINISH.sources), Job.lease_expires_at < DatabaseNow()
    )


def _overdue(grace_seconds: float) -> Select[str, int]:
    return (
        select(Job.id, Job.fence)
        .join(Attempt, (Attempt.job_id == Job.id) & (Attempt.fence == Job.fence))
        .where(Job.state.in_(FINISH.sources), Attempt.deadline_at < DatabaseNow() - grace_seconds)
    )
