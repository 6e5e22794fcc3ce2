"""Who takes messages from which queue, and when it last did: what proves that queues are consumed."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.jobs.lifecycle import State
from app.jobs.protocol import PROBING_VERSION
from app.registry.database import DatabaseNow
from app.registry.tables import Attempt, Consumption, Job
from app.registry.workers import KNOWN_SECONDS, live_workers, queues_of


@dataclass(frozen=True, slots=True)
class Consumer:
    """A live worker as one of its queues sees it."""

    queue: str
    """A queue that it takes messages from."""
    worker: str
    """The worker's name in the registry."""
    is_busy: bool
    """Whether it holds a job: then it takes no message."""
    answers_probes: bool
    """Whether it knows what a probe is; a worker of an older release drops it."""
    age: float | None
    """Seconds since it took a message from this queue; None where it never did."""


def note_taken(session: Session, queue: str, worker_id: str) -> None:
    """Note that a worker has just taken a message from a queue."""
    same = (Consumption.queue == queue, Consumption.worker_id == worker_id)
    noted = update(Consumption).where(*same).values(consumed_at=DatabaseNow())
    if session.execute(noted.returning(Consumption.queue)).first() is not None:
        return
    session.execute(delete(Consumption).where(Consumption.consumed_at < DatabaseNow() - KNOWN_SECONDS))
    try:
        with session.begin_nested():
            session.add(Consumption(queue=queue, worker_id=worker_id, consumed_at=0.0))
    except IntegrityError:
        pass  # another process of this worker was as quick
    session.execute(noted)


def list_consumers(session: Session, within_seconds: float) -> Sequence[Consumer]:
    """Live workers by queue; those that are to leave take nothing any more and are left out."""
    busy = busy_workers(session)
    aged = select(Consumption.queue, Consumption.worker_id, DatabaseNow() - Consumption.consumed_at)
    ages = {(queue, worker): float(age) for queue, worker, age in session.execute(aged)}
    return [
        Consumer(
            queue=queue,
            worker=worker.id,
            is_busy=worker.id in busy,
            answers_probes=worker.protocol >= PROBING_VERSION,
            age=ages.get((queue, worker.id)),
        )
        for worker in live_workers(session, within_seconds)
        for queue in queues_of(worker)
    ]


def busy_workers(session: Session) -> frozenset[str]:
    """Names of the workers that hold a job."""
    held = (
        select(Attempt.worker)
        .join(Job, (Attempt.job_id == Job.id) & (Attempt.fence == Job.fence))
        .where(Job.state == State.RUNNING)
    )
    return frozenset(session.scalars(held))
