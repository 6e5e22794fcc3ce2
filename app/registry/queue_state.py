"""What waits and what runs: the jobs that have not ended, as the queue's page and its API show them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session, load_only

from app.jobs.fair_share import Waiter, line_up
from app.jobs.lifecycle import State
from app.registry.claims import NO_KEY, running_by_key, used_by_key
from app.registry.tables import Attempt, Event, Job

MOST_WAITING = 1_000
"""Waiting jobs of a queue that are looked at."""

SHOWN = (Job.id, Job.name, Job.state, Job.queue, Job.priority, Job.key_id, Job.progress, Job.plan_version)
"""What is shown of a job that waits or runs; its documents are not read."""


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


def line_of(session: Session, queue: str) -> list[Waiter]:
    """The queue's waiting jobs in the order in which workers will take them; the first 1,000."""
    queued_at = func.coalesce(Job.queued_at, Job.created_at, type_=Job.created_at.type)
    waiting = (
        select(Job.id, func.coalesce(Job.key_id, NO_KEY), Job.priority, queued_at)
        .where(Job.state == State.QUEUED, Job.queue == queue)
        .order_by(Job.priority.desc(), queued_at, Job.id)
        .limit(MOST_WAITING)
    )
    waiters = [Waiter(*row) for row in session.execute(waiting)]
    return line_up(waiters, running_by_key(session, queue), used_by_key(session, queue))


def show_waiting(session: Session, line: Sequence[Waiter]) -> Sequence[Waiting]:
    """What there is to say of these jobs, in their order; one that was taken meanwhile is left out.

    A queued job's newest event is the one that queued it.
    """
    queued = (
        select(Job, Event.created_at, Attempt)
        .join(Event, and_(Event.job_id == Job.id, Event.seq == Job.last_event))
        .outerjoin(Attempt, and_(Attempt.job_id == Job.id, Attempt.number == Job.attempt))
        .where(Job.state == State.QUEUED, Job.id.in_([waiter.job_id for waiter in line]))
        .options(load_only(*SHOWN))
    )
    found = {job.id: Waiting(job, since, attempt) for job, since, attempt in session.execute(queued)}
    return [found[waiter.job_id] for waiter in line if waiter.job_id in found]


def running_jobs(session: Session) -> Sequence[Held]:
    """Jobs that a worker holds, the longest running attempt first."""
    held = (
        select(Job, Attempt)
        .join(Attempt, and_(Attempt.job_id == Job.id, Attempt.fence == Job.fence))
        .where(Job.state == State.RUNNING)
        .order_by(Attempt.started_at, Job.id)
        .options(load_only(*SHOWN))
    )
    return [Held(job, attempt) for job, attempt in session.execute(held)]


def running_by_worker(session: Session) -> Mapping[str, Held]:
    """The job that each worker holds, by the worker's id."""
    return {held.attempt.worker: held for held in running_jobs(session)}
