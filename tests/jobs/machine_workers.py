"""What workers do in the state machine of jobs: claim, beat, save and end, also those that were thought dead."""

from typing import Any

import pytest
from factories import make_checkpoint
from hypothesis import strategies as st
from hypothesis.stateful import multiple, rule

from app.jobs.lifecycle import Outcome, State
from app.registry.attempts import (
    Claim,
    Hold,
    claim_job,
    expire_job,
    fail_job,
    finish_job,
    holds_job,
    interrupt_job,
    lose_attempt,
    renew_lease,
    stop_job,
    wanted_of,
)
from app.registry.checkpoints import add_checkpoint, point_job_at
from app.registry.claims import Seat, claim_next, used_by_key
from app.registry.database import Session
from app.registry.metrics import record_progress
from app.registry.workers import Drain, ask_to_leave, describe_worker, register_worker
from tests.jobs.job_model import first_of
from tests.jobs.machine_base import QUEUES, Registered
from tests.jobs.machine_users import Users

DEEDS = (
    "beat",
    "beat_late",
    "look",
    "report",
    "save",
    "save",
    "point",
    "finish",
    "fail",
    "stop",
    "hand_back",
    "crash",
    "expire",
)
SEATS = (QUEUES[:1], QUEUES, QUEUES[1:])
WORKERS = ("one", "two")
LEASES = (60.0, 60.0, -1.0)
"""A lease that was given a negative time has run out."""


class Workers(Users):
    """Claim, beat, save, end, come and leave."""

    def __init__(self) -> None:
        super().__init__()
        for worker in WORKERS:
            self.worker_starts(worker)

    @rule(
        target=Registered.holds,
        worker=st.sampled_from(WORKERS),
        queues=st.sampled_from(SEATS),
        lease=st.sampled_from(LEASES),
    )
    def wake_worker(self, worker: str, queues: tuple[str, ...], lease: float) -> Any:
        """A worker gets a message, at any time, and takes the job that is next in line."""
        with self.database.read() as session:
            used = {queue: used_by_key(session, queue) for queue in queues}
        expected = None if worker in self.leaving else first_of(self.model.values(), queues, used)
        with self.database.write() as session:
            claim = claim_next(session, Seat(worker, queues, plan_version=1), lease)
        assert (claim and claim.hold.job_id) == (expected and expected.job_id)
        return self._note_claim(claim, lease)

    @rule(target=Registered.holds, job_id=Registered.jobs, lease=st.sampled_from(LEASES))
    def take_message(self, job_id: str, lease: float) -> Any:
        """A worker of the release before takes the job that a message names, which may be doubled or late."""
        expected = self.model[job_id].state == State.QUEUED
        with self.database.write() as session:
            claim = claim_job(session, job_id, "old", lease)
        assert (claim is not None) == expected
        return self._note_claim(claim, lease)

    @rule(
        target=Registered.holds, job_id=Registered.jobs, unwanted=st.booleans(), deed=st.sampled_from(DEEDS)
    )
    def attempt(self, job_id: str, unwanted: bool, deed: str) -> Any:
        """A job is taken where it waits, its user may want it no more, and its holder acts: what chance finds late."""
        job = self.model[job_id]
        taken = self.take_message(job_id, 60.0) if job.state == State.QUEUED else self.held.get(job_id)
        if not job.is_held:
            return multiple()
        if unwanted:
            self.ask_to_cancel(job)
        getattr(self, deed)(taken)
        return taken

    @rule(hold=Registered.holds, job_id=Registered.jobs, newest=st.booleans(), deed=st.sampled_from(DEEDS))
    def holder_acts(self, hold: Hold, job_id: str, newest: bool, deed: str) -> None:
        """The newest holder of a job, or any that there ever was."""
        getattr(self, deed)(self.held.get(job_id, hold) if newest else hold)

    def beat(self, hold: Hold, lease: float = 60.0) -> None:
        job = self.model[hold.job_id]
        expected = job.desired if job.holds(hold.fence) else None
        with self.database.write() as session:
            assert renew_lease(session, hold, lease) == expected
        job.lease = lease if expected else job.lease

    def beat_late(self, hold: Hold) -> None:
        self.beat(hold, -1.0)

    def look(self, hold: Hold) -> None:
        job = self.model[hold.job_id]
        holds = job.holds(hold.fence)
        with self.database.write() as session:
            assert wanted_of(session, hold) == (job.desired if holds else None)
            assert holds_job(session, hold) == holds

    def report(self, hold: Hold) -> None:
        if self.write_as(hold, lambda session: record_progress(session, hold, 5, {"loss": 1.0})):
            self.model[hold.job_id].events += 1

    def save(self, hold: Hold) -> None:
        kept: list[str] = []

        def write(session: Session) -> bool:
            if not holds_job(session, hold):
                return False
            row = make_checkpoint(job_id=hold.job_id, kind="periodic", step=hold.fence)
            kept.append(add_checkpoint(session, row).id)
            return point_job_at(session, hold, row.id)

        if self.write_as(hold, write):
            self.model[hold.job_id].keep(kept[0])

    def point(self, hold: Hold) -> None:
        """To where it points already: what a stale holder may not do either."""
        place: Any = self.model[hold.job_id].resume_from
        self.write_as(hold, lambda session: point_job_at(session, hold, place))

    def finish(self, hold: Hold) -> None:
        if self.write_as(hold, lambda session: finish_job(session, hold, {"fence": hold.fence})):
            self.model[hold.job_id].end(State.SUCCEEDED, Outcome.SUCCEEDED)

    def fail(self, hold: Hold) -> None:
        error = {"code": "training_diverged", "detail": "NaN"}
        if self.write_as(hold, lambda session: fail_job(session, hold, error, Outcome.FAILED)):
            self.model[hold.job_id].end(State.FAILED, Outcome.FAILED, "training_diverged")

    def stop(self, hold: Hold) -> None:
        if self.write_as(hold, lambda session: stop_job(session, hold, "cancelled")):
            self.model[hold.job_id].end(State.CANCELLED, Outcome.CANCELLED)

    def hand_back(self, hold: Hold) -> None:
        job = self.model[hold.job_id]
        with self.waking(job):
            if self.write_as(hold, lambda session: interrupt_job(session, hold, "the worker stops")):
                job.requeue(Outcome.INTERRUPTED)

    def crash(self, hold: Hold) -> None:
        job = self.model[hold.job_id]
        with self.waking(job):
            if self.write_as(hold, lambda session: lose_attempt(session, hold, Outcome.CRASHED, "signal 9")):
                job.lose(Outcome.CRASHED)

    def expire(self, hold: Hold) -> None:
        if self.write_as(hold, lambda session: expire_job(session, hold, "checkpointed and stopped")):
            self.model[hold.job_id].expire()

    @rule(worker=st.sampled_from(WORKERS), deed=st.sampled_from(("worker_starts", "worker_is_to_leave")))
    def workers_come_and_go(self, worker: str, deed: str) -> None:
        getattr(self, deed)(worker)

    def worker_starts(self, worker: str) -> None:
        with self.database.write() as session:
            register_worker(session, describe_worker(worker, QUEUES, "mid", {}, {}))
        self.leaving.discard(worker)

    def worker_is_to_leave(self, worker: str) -> None:
        with self.database.write() as session:
            ask_to_leave(session, worker, Drain.DONE, 600.0)
        self.leaving.add(worker)

    def _note_claim(self, claim: Claim | None, lease: float) -> Any:
        if claim is None:
            return multiple()
        job = self.model[claim.hold.job_id]
        job.claim(lease)
        assert claim.hold.fence == claim.attempt == job.fence
        assert claim.resume_from == job.resume_from
        limit = None if job.max_seconds is None else max(0.0, job.max_seconds)
        assert claim.seconds_left == pytest.approx(limit, abs=600.0)
        self.held[job.job_id] = claim.hold
        return claim.hold
