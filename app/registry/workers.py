"""Workers that consume: each one's consumer loop renews its row; one that left or fell silent is still known."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.registry.database import DatabaseNow
from app.registry.tables import Worker, utc_now

KNOWN_SECONDS = 30 * 86_400.0
"""How long a worker that is gone is remembered: its tier counts as one that comes back."""


class Drain(StrEnum):
    """How a worker is to leave."""

    DONE = "done"  # once the job that it holds has ended
    NOW = "now"  # its job is checkpointed and handed back


def register_worker(session: Session, worker: Worker) -> None:
    """Announce a worker that begins to consume, and forget those that were not heard of for a month."""
    session.execute(delete(Worker).where(Worker.id == worker.id))
    old = DatabaseNow() - KNOWN_SECONDS
    session.execute(delete(Worker).where(Worker.seen_at < old, Worker.left_at.is_(None)))
    session.execute(delete(Worker).where(Worker.left_at < old))
    session.add(worker)
    session.flush()
    renew_worker(session, worker.id)


def renew_worker(session: Session, worker_id: str) -> bool:
    """Prove that the worker's consumer loop turns; False when the row is gone."""
    seen = update(Worker).where(Worker.id == worker_id).values(seen_at=DatabaseNow())
    return session.execute(seen.returning(Worker.id)).first() is not None


def note_departure(session: Session, worker_id: str) -> None:
    """Note that a worker stops; `seen_at` becomes 0, by which a release before this one knows it as gone."""
    left = update(Worker).where(Worker.id == worker_id).values(left_at=DatabaseNow(), seen_at=0.0)
    session.execute(left)


def ask_to_leave(session: Session, worker_id: str, drain: Drain, within_seconds: float) -> None:
    """Have a live worker leave; one that was asked to leave `now` does. Raises NotFound for one that is gone."""
    fresh = (
        Worker.id == worker_id,
        Worker.left_at.is_(None),
        Worker.seen_at > DatabaseNow() - within_seconds,
    )
    wish = update(Worker).where(*fresh).values(drain=str(drain))
    if session.execute(wish.returning(Worker.id)).first() is None:
        raise NotFound(
            f"no worker {worker_id!r} is alive", hint="GET /workers lists them", pointer="worker_id"
        )


def get_worker(session: Session, worker_id: str) -> Worker:
    """The worker, alive or gone, or NotFound."""
    worker = session.get(Worker, worker_id)
    if worker is None:
        raise NotFound(
            f"there is no worker {worker_id!r}", hint="GET /workers lists them", pointer="worker_id"
        )
    return worker


def asked_to_leave(session: Session, worker_id: str) -> Drain | None:
    """How the worker is to leave; None where it is to stay."""
    asked = session.scalar(select(Worker.drain).where(Worker.id == worker_id))
    return None if asked is None else Drain(asked)


def live_workers(session: Session, within_seconds: float) -> Sequence[Worker]:
    """Workers heard of within this time, by queue and id; those that are to leave too."""
    fresh = select(Worker).where(Worker.seen_at > DatabaseNow() - within_seconds, Worker.left_at.is_(None))
    return session.scalars(fresh.order_by(Worker.queue, Worker.id)).all()


def known_workers(session: Session) -> Sequence[Worker]:
    """All that were heard of in the last month, gone or not, by queue and id."""
    since = DatabaseNow() - KNOWN_SECONDS
    known = select(Worker).where((Worker.seen_at > since) | (Worker.left_at > since))
    return session.scalars(known.order_by(Worker.queue, Worker.id)).all()


def queues_of(worker: Worker) -> tuple[str, ...]:
    """All queues that a worker takes jobs from, its own tier's first; none once it is to leave."""
    return () if worker.drain else tuple(worker.queues or (worker.queue,))


def describe_worker(
    worker_id: str,
    queues: str | Sequence[str],
    tier: str,
    device: Mapping[str, Any],
    versions: Mapping[str, Any],
) -> Worker:
    """A worker's row, not yet in the registry; of several queues that of its own tier is the first."""
    names = [queues] if isinstance(queues, str) else list(queues)
    return Worker(
        id=worker_id,
        queue=names[0],
        queues=names,
        tier=tier,
        device=dict(device),
        versions=dict(versions),
        started_at=utc_now(),
        seen_at=0.0,
    )
