"""Who holds a job: claim with a fence, heartbeat, and every way that an attempt can end.

The row is the truth. Each claim raises the job's fence; every later write of the holder names it, so a
worker that was thought dead and comes back changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.jobs.lifecycle import CLAIM, FAIL, FINISH, REQUEUE, STOP, Desired, Move, Outcome
from app.registry.database import DatabaseNow
from app.registry.events import record_event
from app.registry.outbox import add_message
from app.registry.shares import add_use
from app.registry.tables import Attempt, Job, utc_now

DEADLINE = "deadline"
"""Code of the error of a job whose time is over."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A worker's right to write to a job: good as long as the job's fence is this one."""

    job_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker learns when it takes a job."""

    hold: Hold
    attempt: int
    resume_from: str | None
    seconds_left: float | None
    """How long it may hold the job; None for no limit."""


def claim_job(session: Session, job_id: str, worker: str, lease_seconds: float) -> Claim | None:
    """Take a queued job; None where there is nothing to take (a doubled or stale message)."""
    values = {
        "fence": Job.fence + 1,
        "attempt": Job.attempt + 1,
        "lease_expires_at": DatabaseNow() + lease_seconds,
        "started_at": func.coalesce(Job.started_at, utc_now()),
        "ended_at": None,
        "error": None,
    }
    job = move_job(session, job_id, CLAIM, values=values)
    if job is None:
        return None
    left = None if job.max_seconds is None else max(0.0, job.max_seconds - job.used_seconds)
    now = clock(session)
    attempt = Attempt(
        job_id=job_id,
        number=job.attempt,
        fence=job.fence,
        worker=worker,
        resumed_from=job.resume_from,
        claimed_at=now,
        deadline_at=None if left is None else now + left,
    )
    session.add(attempt)
    record_event(
        session, job_id, "state", {"state": job.state, "worker": worker, "resumed_from": job.resume_from}
    )
    return Claim(Hold(job_id, job.fence), job.attempt, job.resume_from, left)


def renew_lease(session: Session, hold: Hold, lease_seconds: float) -> Desired | None:
    """Prove that the holder lives and learn what the user wants; None when the job is no longer its own."""
    renewed = (
        update(Job)
        .where(Job.id == hold.job_id, Job.fence == hold.fence, Job.state.in_(FINISH.sources))
        .values(lease_expires_at=DatabaseNow() + lease_seconds)
        .returning(Job.desired)
    )
    desired = session.execute(renewed).scalar_one_or_none()
    if desired is None:
        return None
    beat = (
        update(Attempt)
        .where(Attempt.job_id == hold.job_id, Attempt.fence == hold.fence)
        .values(heartbeat_at=utc_now())
    )
    session.execute(beat)
    return Desired(desired)


def note_versions(session: Session, hold: Hold, versions: Mapping[str, str]) -> bool:
    """Note what runs the attempt; False when the job is no longer this holder's."""
    if not holds_job(session, hold):
        return False
    attempt = update(Attempt).where(Attempt.job_id == hold.job_id, Attempt.fence == hold.fence)
    session.execute(attempt.values(versions=dict(versions)))
    return True


def wanted_of(session: Session, hold: Hold) -> Desired | None:
    """What the user wants of the job, without renewing the lease; None when it is no longer the holder's."""
    held = select(Job.desired).where(
        Job.id == hold.job_id, Job.fence == hold.fence, Job.state.in_(FINISH.sources)
    )
    desired = session.execute(held).scalar_one_or_none()
    return None if desired is None else Desired(desired)


def has_recorded_end(session: Session, hold: Hold) -> bool:
    """Whether the holder itself recorded how its attempt ended, as against one whom the job was taken from."""
    own = Attempt.outcome.in_((Outcome.SUCCEEDED, Outcome.FAILED))
    ended = select(Attempt.number).where(Attempt.job_id == hold.job_id, Attempt.fence == hold.fence, own)
    return session.execute(ended).first() is not None


def holds_job(session: Session, hold: Hold) -> bool:
    """Whether this fence still holds the job; locks the row until the transaction ends."""
    held = select(Job.id).where(Job.id == hold.job_id, Job.fence == hold.fence, Job.state.in_(FINISH.sources))
    return session.execute(held.with_for_update()).first() is not None


def finish_job(session: Session, hold: Hold, result: Mapping[str, Any]) -> bool:
    """Record success; False when the job is no longer this holder's."""
    return _end(session, hold, FINISH, Outcome.SUCCEEDED, values={"result": dict(result)})


def stop_job(session: Session, hold: Hold, reason: str) -> bool:
    """Record that the user's wish to cancel was carried out."""
    return _end(session, hold, STOP, Outcome.CANCELLED, reason=reason)


def fail_job(session: Session, hold: Hold, error: Mapping[str, Any], outcome: Outcome) -> bool:
    """Record a failure that another attempt would only repeat."""
    reason = str(error.get("detail", ""))
    return _end(session, hold, FAIL, outcome, reason=reason, values={"error": dict(error)})


def expire_job(session: Session, hold: Hold, how: str) -> bool:
    """Fail a job whose time is over; resumed by its user, it goes on and has as much time again."""
    job = _held(session, hold)
    if job is None:
        return False
    if job.desired == Desired.CANCEL:
        return stop_job(session, hold, f"cancelled; {how}")
    hours = (job.max_seconds or 0.0) / 3600
    error = {
        "code": DEADLINE,
        "detail": f"its limit of {hours:g} h of training is used up: {how}",
        "hint": "POST /jobs/{id}/resume goes on from the last checkpoint, with as much time again",
        "max_hours": hours,
    }
    return fail_job(session, hold, error, Outcome.FAILED)


def interrupt_job(session: Session, hold: Hold, reason: str) -> bool:
    """Queue the job again because its worker was asked to stop; this costs no attempt.

    A job that its user wanted cancelled ends as cancelled, here and in `lose_attempt`: its last checkpoint stays.
    """
    job = _held(session, hold)
    if job is not None and job.desired == Desired.CANCEL:
        return stop_job(session, hold, f"cancelled; {reason}")
    return _requeue(session, hold, Outcome.INTERRUPTED, reason, values={})


def lose_attempt(session: Session, hold: Hold, outcome: Outcome, reason: str) -> bool:
    """Queue the job again after a crash or a lost worker, or fail it when its attempts are used up."""
    job = _held(session, hold)
    if job is None:
        return False
    if job.desired == Desired.CANCEL:
        return stop_job(session, hold, f"cancelled; {reason}")
    if job.failures + 1 < job.max_attempts:
        return _requeue(session, hold, outcome, reason, values={"failures": Job.failures + 1})
    error = {
        "code": str(outcome),
        "detail": f"{reason}; attempt {job.failures + 1} of {job.max_attempts}",
        "hint": "POST /jobs/{id}/resume continues from the last checkpoint",
    }
    return fail_job(session, hold, error, outcome)


def list_attempts(session: Session, job_id: str) -> Sequence[Attempt]:
    """The job's attempts, first to last."""
    return session.scalars(select(Attempt).where(Attempt.job_id == job_id).order_by(Attempt.number)).all()


def clock(session: Session) -> float:
    """The database's clock, in epoch seconds."""
    return float(session.scalar(select(DatabaseNow())) or 0.0)


def move_job(
    session: Session, job_id: str, move: Move, *, fence: int | None = None, values: Mapping[str, Any]
) -> Job | None:
    """Make one legal move with one guarded UPDATE; None when the job is not where the move starts."""
    statement = update(Job).where(Job.id == job_id, Job.state.in_(move.sources))
    if fence is not None:
        statement = statement.where(Job.fence == fence)
    moved = statement.values(state=str(move.target), **values).returning(Job)
    return session.scalars(moved, execution_options={"populate_existing": True}).one_or_none()


def _held(session: Session, hold: Hold) -> Job | None:
    """The holder's job, locked: the wish and the count of failures that are read here are those that are acted upon."""
    held = select(Job).where(Job.id == hold.job_id, Job.fence == hold.fence, Job.state.in_(FINISH.sources))
    return session.scalars(
        held.with_for_update(), execution_options={"populate_existing": True}
    ).one_or_none()


def _held_for(session: Session, hold: Hold, now: float) -> float:
    """Seconds since the claim; 0 for one by a worker of a release that did not note it."""
    claimed = select(Attempt.claimed_at).where(Attempt.job_id == hold.job_id, Attempt.fence == hold.fence)
    at = session.scalar(claimed)
    return 0.0 if at is None else max(0.0, now - at)


def _is_spent(session: Session, job: Job) -> bool:
    """Whether no time is left for another attempt."""
    if job.max_seconds is None:
        return False
    return job.used_seconds + _held_for(session, Hold(job.id, job.fence), clock(session)) >= job.max_seconds


def _requeue(
    session: Session, hold: Hold, outcome: Outcome, reason: str, *, values: Mapping[str, Any]
) -> bool:
    job = _held(session, hold)
    if job is not None and _is_spent(session, job):
        return expire_job(session, hold, reason)
    if not _end(session, hold, REQUEUE, outcome, reason=reason, values=values):
        return False
    add_message(session, session.get_one(Job, hold.job_id))
    return True


def _end(
    session: Session,
    hold: Hold,
    move: Move,
    outcome: Outcome,
    *,
    reason: str = "",
    values: Mapping[str, Any] | None = None,
) -> bool:
    ended_at = None if move is REQUEUE else utc_now()
    now = clock(session)
    held = _held_for(session, hold, now)
    changes = {
        "lease_expires_at": None,
        "ended_at": ended_at,
        "used_seconds": Job.used_seconds + held,
        **(values or {}),
    }
    job = move_job(session, hold.job_id, move, fence=hold.fence, values=changes)
    if job is None:
        return False
    add_use(session, job, held, now)
    attempt = update(Attempt).where(Attempt.job_id == hold.job_id, Attempt.fence == hold.fence)
    session.execute(attempt.values(ended_at=utc_now(), outcome=str(outcome), reason=reason))
    data = {"state": job.state, "outcome": str(outcome), "reason": reason, "error": job.error}
    record_event(session, hold.job_id, "state", data)
    return True
