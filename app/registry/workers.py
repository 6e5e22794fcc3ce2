"""Workers that consume: each one's consumer loop renews its row; a silent one is forgotten."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.registry.database import DatabaseNow
from app.registry.tables import Worker, utc_now


def register_worker(session: Session, worker: Worker) -> None:
    """Announce a worker that begins to consume."""
    session.execute(delete(Worker).where(Worker.id == worker.id))
    session.add(worker)
    session.flush()
    renew_worker(session, worker.id)


def renew_worker(session: Session, worker_id: str) -> bool:
    """Prove that the worker's consumer loop turns; False when the row is gone."""
    seen = update(Worker).where(Worker.id == worker_id).values(seen_at=DatabaseNow())
    return session.execute(seen.returning(Worker.id)).first() is not None


def remove_worker(session: Session, worker_id: str) -> None:
    """Forget a worker that stops."""
    session.execute(delete(Worker).where(Worker.id == worker_id))


def live_workers(session: Session, within_seconds: float) -> Sequence[Worker]:
    """Workers heard of within this time, by queue and id."""
    fresh = select(Worker).where(Worker.seen_at > DatabaseNow() - within_seconds)
    return session.scalars(fresh.order_by(Worker.queue, Worker.id)).all()


def describe_worker(
    worker_id: str, queue: str, tier: str, device: Mapping[str, Any], versions: Mapping[str, Any]
) -> Worker:
    """A worker's row, not yet in the registry."""
    return Worker(
        id=worker_id,
        queue=queue,
        tier=tier,
        device=dict(device),
        versions=dict(versions),
        started_at=utc_now(),
        seen_at=0.0,
    )
