"""Jobs: add, find, withdraw, ask to cancel, resume."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Conflict, NotFound
from app.jobs.lifecycle import ENDED, RESUME, WITHDRAW, Desired, State, refuse_move
from app.registry.attempts import move_job
from app.registry.events import record_event
from app.registry.outbox import add_message
from app.registry.tables import Dataset, Job, JobDataset, utc_now


@dataclass(frozen=True, slots=True)
class Pulse:
    """How far a job is, without its documents."""

    state: State
    """Where it stands."""
    last_event: int
    """Number of its newest event."""


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
        raise _no_job(job_id)
    return job


def read_pulse(session: Session, job_id: str) -> Pulse:
    """State and newest event of a job, or NotFound: what its followers ask for twice a second."""
    found = session.execute(select(Job.state, Job.last_event).where(Job.id == job_id)).one_or_none()
    if found is None:
        raise _no_job(job_id)
    return Pulse(State(found.state), found.last_event)


def datasets_of(session: Session, job_ids: Collection[str]) -> dict[str, list[str]]:
    """Ids of the datasets that these jobs train on, by job id, in the order of the request."""
    query = select(JobDataset).where(JobDataset.job_id.in_(job_ids))
    found: dict[str, list[str]] = {}
    for row in session.scalars(query.order_by(JobDataset.job_id, JobDataset.position)):
        found.setdefault(row.job_id, []).append(row.dataset_id)
    return found


def request_of(session: Session, job_id: str) -> str | None:
    """Id of the request that submitted the job; None where it is not known, or there is no such job."""
    return session.scalars(select(Job.request_id).where(Job.id == job_id)).one_or_none()


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
    """Queue a failed or cancelled job again, from its last checkpoint where it has one.

    Raises NotFound, IllegalMove for another state, or Conflict where a dataset of it was deleted.
    """
    job = get_job(session, job_id)
    for dataset_id in datasets_of(session, [job_id]).get(job_id, [job.dataset_id]):
        dataset = session.get(Dataset, dataset_id)
        if dataset is None or dataset.deleted_at is not None:
            raise Conflict(
                f"the dataset {dataset_id} of job {job_id} was deleted",
                hint="upload it again and submit anew",
            )
    values = {"desired": str(Desired.RUN), "failures": 0, "ended_at": None, "error": None, "tidied": 0}
    values |= {"queued_at": utc_now(), "used_seconds": 0.0}
    resumed = move_job(session, job_id, RESUME, values=values)
    if resumed is None:
        session.refresh(job)
        raise refuse_move("resumed", RESUME.sources, State(job.state), job_id)
    record_event(
        session, job_id, "state", {"state": resumed.state, "reason": "resumed", "from": resumed.resume_from}
    )
    add_message(session, resumed)
    return resumed


def _no_job(job_id: str) -> NotFound:
    return NotFound(f"there is no job {job_id!r}", hint="GET /jobs lists them", pointer="job_id")
