"""Wake-ups for the workers, written in the job's own transaction and published after its commit.

A message says "look at this queue": whoever gets it takes the job that is next in line, which need not be the one
that it names. So there must be as many of them as jobs wait: lost ones are written again by the sweep, doubled ones
find nothing to claim. Its id on the broker is "<job>:<fence>".
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, load_only

from app.jobs.lifecycle import State
from app.registry.tables import Job, Message


def add_message(session: Session, job: Job) -> None:
    """Ask for a worker of the job's queue, once this transaction is committed."""
    session.add(Message(job_id=job.id, fence=job.fence, queue=job.queue))
    session.flush()


def next_messages(session: Session, limit: int) -> Sequence[Message]:
    """The oldest wake-ups not yet published, locked: another relay passes over them until this session ends."""
    oldest = select(Message).order_by(Message.id).limit(limit)
    return session.scalars(oldest.with_for_update(skip_locked=True)).all()


def drop_messages(session: Session, ids: Sequence[int]) -> None:
    """Forget wake-ups that the broker has taken."""
    session.execute(delete(Message).where(Message.id.in_(ids)))


def silent_jobs(session: Session, plans: Mapping[str, int] | None = None) -> Sequence[Job]:
    """Queued jobs with no wake-up in the outbox: the broker has their message, or has lost it; the next ones first.

    `plans`: queue -> the newest plans that its workers read; jobs of newer ones need no wake-up yet.
    """
    waiting = select(Message.id).where(Message.job_id == Job.id).exists()
    query = select(Job).where(Job.state == State.QUEUED, ~waiting)
    for queue, newest in (plans or {}).items():
        query = query.where((Job.queue != queue) | (Job.plan_version <= newest))
    # Not their documents: a long queue is looked through every few seconds.
    query = query.options(load_only(Job.id, Job.fence, Job.queue))
    return session.scalars(query.order_by(Job.priority.desc(), Job.id)).all()


def still_silent(session: Session, jobs: Sequence[Job]) -> Sequence[Job]:
    """Those of the jobs that are queued at the same fence with no wake-up in the outbox; locks their rows.

    One that another sweep has locked is left to it.
    """
    waiting = select(Message.id).where(Message.job_id == Job.id).exists()
    same = select(Job).where(Job.state == State.QUEUED, ~waiting, Job.id.in_([job.id for job in jobs]))
    same = same.options(load_only(Job.id, Job.fence, Job.queue)).with_for_update(of=Job, skip_locked=True)
    fences = {job.id: job.fence for job in jobs}
    return [job for job in session.scalars(same) if job.fence == fences[job.id]]
