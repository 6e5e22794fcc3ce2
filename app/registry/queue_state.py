"""What waits and what runs: the jobs that have not ended, as the queue's page and its API show them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from app.jobs.lifecycle import State
from app.registry.tables import Attempt, Event, Job

MOST_WAITING = 1_000
"""Waiting jobs that are looked at."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that no worker holds, since when, and how its last attempt ended."""

    job: Job
    since: datetime
    last_attempt: Attempt | None


@dataclass(frozen=True, slots=True)
class Held:
    """A job and the attempt that holds it."""

    job: Job
    attempt: Attempt


def waiting_jobs(session: Session) -> Sequence[Waiting]:
    """Queued jobs in the order of their wake-ups, the longest waiting first; at most 1,000.

    A queued job's newest event is the one that queued it.
    """
    queued = (
        select(Job, Event.created_at, Attempt)
        .join(Event, and_(Event.job_id == Job.id, Event.seq == Job.last_event))
        .outerjoin(Attempt, and_(Attempt.job_id == Job.id, Attempt.number == Job.attempt))
        .where(Job.state == State.QUEUED)
        .order_by(Event.created_at, Job.id)
        .limit(MOST_WAITING)
    )
    return [Waiting(job, since, attempt) for job, since, attempt in session.execute(queued)]


def running_jobs(session: Session) -> Sequence[Held]:
    """Jobs that a worker holds, the longest running attempt first."""
    held = (
        select(Job, Attempt)
        .join(Attempt, and_(Attempt.job_id == Job.id, Attempt.fence == Job.fence))
        .where(Job.state == State.RUNNING)
        .order_by(Attempt.started_at, Job.id)
    )
    return [Held(job, attempt) for job, attempt in session.execute(held)]


def running_by_worker(session: Session) -> Mapping[str, Held]:
    """The job that each worker holds, by the worker's id."""
    return {held.attempt.worker: held for held in running_jobs(session)}
