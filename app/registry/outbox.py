"""Wake-ups for the workers, written in the job's own transaction and published after its commit.

A message is only a hint: one that is lost is written again by the sweep, one that is doubled finds nothing
to claim. Its id on the broker is "<job>:<fence>".
"""

from collections.abc import Sequence

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session, load_only

from app.jobs.lifecycle import State
from app.registry.tables import Job, Message


def add_message(session: Session, job: Job) -> None:
    """Ask for a worker of the job's queue, once this transaction is committed."""
    session.add(Message(job_id=job.id, fence=job.fence, queue=job.queue))
    session.flush()


def next_messages(session: Session, limit: int) -> Sequence[Message]:
    """The oldest wake-ups not yet published."""
    return session.scalars(select(Message).order_by(Message.id).limit(limit)).all()


def drop_messages(session: Session, ids: Sequence[int]) -> None:
    """Forget wake-ups that the broker has taken."""
    session.execute(delete(Message).where(Message.id.in_(ids)))


def silent_jobs(session: Session) -> Sequence[Job]:
    """Queued jobs with no wake-up in the outbox: the broker has their message, or has lost it."""
    # Not their documents: a long queue is looked through every few seconds.
    return session.scalars(_silent().options(load_only(Job.id, Job.fence, Job.queue))).all()


def is_silent(session: Session, job: Job) -> bool:
    """Whether the job is still queued, at the same fence, with no wake-up in the outbox; locks its row."""
    same = _silent().where(Job.id == job.id, Job.fence == job.fence)
    return session.scalars(same.with_for_update()).first() is not None


def _silent() -> Select[Job]:
    waiting = select(Message.id).where(Message.job_id == Job.id).exists()
    return select(Job).where(Job.state == State.QUEUED, ~waiting)
