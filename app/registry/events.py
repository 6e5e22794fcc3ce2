"""What happened to a job, in order: the source of the event stream."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.registry.tables import Event, Job


def record_event(session: Session, job_id: str, kind: str, data: Mapping[str, Any]) -> int:
    """Append an event and return its number.

    The counter lives on the job's row: its lock puts concurrent writers in order, so that a follower who
    has seen event n can never miss one below it.
    """
    counted = (
        update(Job)
        .where(Job.id == job_id)
        .values(last_event=Job.last_event + 1)
        .returning(Job.last_event, Job.attempt)
    )
    seq, attempt = session.execute(counted).one()
    session.add(Event(job_id=job_id, seq=seq, kind=kind, attempt=attempt, data=dict(data)))
    session.flush()
    return int(seq)


def events_after(
    session: Session, job_id: str, seq: int, limit: int, kinds: Sequence[str] | None = None
) -> Sequence[Event]:
    """The job's events numbered above `seq`, oldest first, at most `limit`; of all kinds, or of these."""
    query = select(Event).where(Event.job_id == job_id, Event.seq > seq).order_by(Event.seq).limit(limit)
    query = query.where(Event.kind.in_(kinds)) if kinds else query
    return session.scalars(query).all()
