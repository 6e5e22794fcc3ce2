"""Which job a worker takes: the first in its tiers' lines, in the order of `app.jobs.fair_share`.

A message only wakes a worker; what it takes is decided here, so that neither the order of messages nor their number
decides anything. On PostgreSQL workers that ask at once pass over each other's rows (SKIP LOCKED); SQLite lets one
writer in at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, func, literal_column, select
from sqlalchemy.orm import Session, aliased

from app.jobs.lifecycle import State
from app.jobs.protocol import PLAN_VERSION
from app.registry.attempts import Claim, claim_job
from app.registry.tables import Job, Share, Worker

NO_KEY: ColumnElement[str] = literal_column("''")
"""The key of jobs that were submitted while keys were off."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Who asks for a job, and for which."""

    worker: str
    """The worker's name in the registry."""
    queues: tuple[str, ...]
    """Queues whose jobs it may take: a job of a later one only where the earlier ones have none."""
    plan_version: int = PLAN_VERSION
    """The newest plans that it reads."""


def claim_next(session: Session, seat: Seat, lease_seconds: float) -> Claim | None:
    """Take the job that is next for this worker; None where there is none, or where it is to leave."""
    if _is_draining(session, seat.worker):
        return None
    for queue in seat.queues:
        job_id = session.scalar(_first_of(queue, seat.plan_version))
        if job_id is not None:
            return claim_job(session, job_id, seat.worker, lease_seconds)
    return None


def running_by_key(session: Session, queue: str) -> Mapping[str, int]:
    """How many of the queue's jobs each key runs now."""
    counted = _running(queue)
    return {key: int(jobs) for key, jobs in session.execute(select(counted.c.key, counted.c.jobs))}


def used_by_key(session: Session, queue: str) -> Mapping[str, float]:
    """What each key has used of the queue's time lately, as `fair_share.weigh` counts."""
    shares = select(Share.key, Share.used).where(Share.queue == queue)
    return {key: float(used) for key, used in session.execute(shares)}


def _first_of(queue: str, plan_version: int) -> Select[str]:
    running = _running(queue)
    key: ColumnElement[Any] = func.coalesce(Job.key_id, NO_KEY)
    return (
        select(Job.id)
        .outerjoin(running, running.c.key == key)
        .outerjoin(Share, (Share.queue == Job.queue) & (Share.key == key))
        .where(Job.state == State.QUEUED, Job.queue == queue, Job.plan_version <= plan_version)
        .order_by(
            Job.priority.desc(),
            func.coalesce(running.c.jobs, 0),
            func.coalesce(Share.used, 0.0),
            func.coalesce(Job.queued_at, Job.created_at),
            Job.id,
        )
        .limit(1)
        .with_for_update(of=Job, skip_locked=True)
    )


def _running(queue: str) -> Subquery:
    held = aliased(Job)
    key = func.coalesce(held.key_id, NO_KEY)
    return (
        select(key.label("key"), func.count().label("jobs"))
        .where(held.state == State.RUNNING, held.queue == queue)
        .group_by(key)
        .subquery()
    )


def _is_draining(session: Session, worker: str) -> bool:
    """Whether the worker is to leave; its row stays locked, so that a wish that comes now waits for this claim."""
    asked = select(Worker.drain).where(Worker.id == worker).with_for_update(read=True)
    return session.scalar(asked) is not None
