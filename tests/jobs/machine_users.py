"""What users do in the state machine of jobs: submit, cancel, resume, delete checkpoints."""

from typing import Any

from factories import make_dataset, make_job
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from sqlalchemy import update

from app.jobs.lifecycle import State
from app.registry.checkpoints import delete_checkpoint, find_checkpoint
from app.registry.datasets import add_dataset
from app.registry.jobs import add_job, cancel, resume
from app.registry.tables import Job
from tests.jobs.job_model import AMPLE, MAX_ATTEMPTS, SPENT, ModelJob
from tests.jobs.machine_base import QUEUES, Registered

WISHES = ("ask_to_cancel", "ask_to_cancel", "ask_to_resume", "ask_to_resume", "delete_newest_checkpoint")
MOST_JOBS = 3
"""More would each see less happen."""


class Users(Registered):
    """Submit, cancel, resume and delete."""

    @initialize(target=Registered.jobs)
    def begin(self) -> str:
        return self.submit_one()

    @precondition(lambda self: len(self.model) < MOST_JOBS)
    @rule(
        target=Registered.jobs,
        queue=st.sampled_from((QUEUES[1], QUEUES[1], QUEUES[0])),
        priority=st.sampled_from((0, 0, 5)),
        key=st.sampled_from((None, "key_1")),
        plan_version=st.sampled_from((1, 1, 1, 2)),
        max_seconds=st.sampled_from((None, AMPLE, SPENT)),
    )
    def submit(self, **values: Any) -> str:
        return self.submit_one(**values)

    def submit_one(
        self,
        queue: str = QUEUES[1],
        priority: int = 0,
        key: str | None = None,
        plan_version: int = 1,
        max_seconds: float | None = None,
    ) -> str:
        asked = {
            "queue": queue,
            "priority": priority,
            "plan_version": plan_version,
            "max_seconds": max_seconds,
        }
        with self.database.write() as session:
            dataset = add_dataset(session, make_dataset())
            job = add_job(session, make_job(dataset, max_attempts=MAX_ATTEMPTS, key_id=key, **asked))
        self.model[job.id] = ModelJob(job.id, key=key, place=self.next_place(), **asked)  # type: ignore[arg-type]
        self.outbox[job.id, 0] += 1
        return job.id

    def set_limit(self, job: ModelJob, max_seconds: float | None) -> None:
        """As if it had been submitted with this limit."""
        with self.database.write() as session:
            session.execute(update(Job).where(Job.id == job.job_id).values(max_seconds=max_seconds))
        job.max_seconds = max_seconds

    # Few rules with many deeds: hypothesis leaves out some rules of each example, and most stories need several.
    @rule(job_id=Registered.jobs, wish=st.sampled_from(WISHES))
    def user_wishes(self, job_id: str, wish: str) -> None:
        getattr(self, wish)(self.model[job_id])

    def ask_to_cancel(self, job: ModelJob) -> None:
        self.wish(job, cancel, {State.QUEUED, State.RUNNING}, job.cancel)

    def ask_to_resume(self, job: ModelJob) -> None:
        with self.waking(job):
            self.wish(job, resume, {State.FAILED, State.CANCELLED}, lambda: job.resume(self.next_place()))

    def delete_newest_checkpoint(self, job: ModelJob) -> None:
        if not job.checkpoints:
            return
        newest = max(job.checkpoints)[1]
        with self.database.write() as session:
            delete_checkpoint(session, find_checkpoint(session, newest))
        job.delete(newest)
