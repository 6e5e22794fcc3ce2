"""Jobs: add, find, list, withdraw, ask to cancel, resume."""

from collections.abc import Collection, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from app.errors import NotFound
from app.jobs.lifecycle import ENDED, RESUME, WITHDRAW, Desired, State, refuse_move
from app.registry.attempts import move_job
from app.registry.events import record_event
from app.registry.outbox import add_message
from app.registry.tables import Dataset, Job, JobDataset, utc_now

NOT_LISTED = (Job.spec, Job.reasons, Job.estimate)
"""Documents that a list does not show; read for themselves where somebody asks for one after all."""


def add_job(session: Session, job: Job, dataset_ids: Sequence[str] = ()) -> Job:
    """Accept a job: its row, its datasets, its first event and its wake-up, in one transaction.

    Without `dataset_ids` it trains on `job.dataset_id` alone.
    """
    session.add(job)
    session.flush()
    used = dataset_ids or (job.dataset_id,)
    session.add_all(
        JobDataset(job_id=job.id, position=place, dataset_id=each) for place, each in enumerate(used)
    )
    record_event(session, job.id, "state", {"state": str(State.QUEUED)})
    add_message(session, job)
    return job


def get_job(session: Session, job_id: str) -> Job:
    """The job, or NotFound."""
    job = session.get(Job, job_id)
    if job is None:
        raise NotFound(f"there is no job {job_id!r}", hint="GET /jobs lists them", pointer="job_id")
    return job


def list_jobs(
    session: Session,
    *,
    limit: int,
    before: str | None = None,
    state: str | None = None,
    dataset_id: str | None = None,
    name: str | None = None,
) -> Sequence[Job]:
    """Newest first, at most `limit`, older than the id `before`; `name` is part of a name, in any case."""
    query, order = select(Job), Job.__table__.c.id
    if dataset_id:  # walked in the order of the index; a job names a dataset once, so that no row is doubled
        query = query.join(JobDataset, JobDataset.job_id == Job.id).where(JobDataset.dataset_id == dataset_id)
        order = JobDataset.__table__.c.job_id
    query = query.where(order < before) if before else query
    query = query.where(Job.state == state) if state else query
    query = query.where(Job.name.icontains(name, autoescape=True)) if name else query
    query = query.options(*(defer(column) for column in NOT_LISTED))
    return session.scalars(query.order_by(order.desc()).limit(limit)).all()


def datasets_of(session: Session, job_ids: Collection[str]) -> dict[str, list[str]]:
    """Ids of the datasets that these jobs train on, by job id, in the order of the request."""
    query = select(JobDataset).where(JobDataset.job_id.in_(job_ids))
    found: dict[str, list[str]] = {}
    for row in session.scalars(query.order_by(JobDataset.job_id, JobDataset.position)):
        found.setdefault(row.job_id, []).append(row.dataset_id)
    return found


def count_by_state(session: Session) -> dict[str, int]:
    """How many jobs are in each state; states without a job are left out."""
    counted = select(Job.state, func.count()).group_by(Job.state)
    return {state: int(count) for state, count in session.execute(counted)}


def cancel(session: Session, job_id: str) -> Job:
    """Withdraw a queued job at once, or ask the holder of a running one to checkpoint and stop."""
    job = get_job(session, job_id)
    withdrawn = move_job(session, job_id, WITHDRAW, values={"ended_at": utc_now()})
    if withdrawn is not None:
        record_event(
            session, job_id, "state", {"state": withdrawn.state, "reason": "cancelled before it started"}
        )
        return withdrawn
    session.refresh(job, with_for_update=True)
    if job.state in ENDED:
        raise refuse_move("cancelled", (State.QUEUED, State.RUNNING), State(job.state), job_id)
    if job.desired != Desired.CANCEL:
        job.desired = Desired.CANCEL
        session.flush()
        record_event(session, job_id, "cancel", {"reason": "asked for; the trainer checkpoints first"})
    return job


def resume(session: Session, job_id: str) -> Job:
    """Queue a failed or cancelled job again, from its last checkpoint where it has one."""
    job = get_job(session, job_id)
    for dataset_id in datasets_of(session, [job_id]).get(job_id, [job.dataset_id]):
        dataset = session.get(Dataset, dataset_id)
        if dataset is None or dataset.deleted_at is not None:
            raise NotFound(
                f"the dataset {dataset_id} of job {job_id} was deleted",
                hint="upload it again and submit anew",
            )
    values = {"desired": str(Desired.RUN), "failures": 0, "ended_at": None, "error": None, "tidied": 0}
    resumed = move_job(session, job_id, RESUME, values=values)
    if resumed is None:
        session.refresh(job)
        raise refuse_move("resumed", RESUME.sources, State(job.state), job_id)
    record_event(
        session, job_id, "state", {"state": resumed.state, "reason": "resumed", "from": resumed.resume_from}
    )
    add_message(session, resumed)
    return resumed
