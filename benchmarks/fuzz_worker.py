"""A stand-in for the workers while the API is fuzzed: takes jobs, reports as a trainer does, ends them all ways.

Nothing is trained; the registry sees what it sees of a worker, so that each operation meets jobs in every state.
"""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import Unavailable
from app.jobs.lifecycle import Desired, Outcome, State
from app.registry.attempts import (
    Claim,
    claim_job,
    fail_job,
    lose_attempt,
    renew_lease,
    stop_job,
)
from app.registry.database import Database
from app.registry.events import record_event
from app.registry.job_lists import list_jobs
from app.registry.metrics import record_progress
from app.registry.workers import describe_worker, register_worker, renew_worker

NAME = "caliper@stand-in"
TURN_SECONDS = 0.1
LEASE_SECONDS = 60.0
ENDS = ("fail", "crash")
"""How its jobs end, in turn; one that is to be cancelled is stopped. None succeeds: that takes an evaluation."""


class StandIn:
    """A worker that trains nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stopping = threading.Event()
        self._ends = itertools.cycle(ENDS)
        self._thread = threading.Thread(target=self._run, name="stand-in")

    @contextmanager
    def working(self) -> Iterator[None]:
        """Work in the background."""
        device = {"name": "CPU", "total_bytes": 1 << 34}
        with self._database.write() as session:
            register_worker(session, describe_worker(NAME, "caliper.cpu", "cpu", device, {"torch": "2.13.0"}))
        self._thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(TURN_SECONDS):
            try:
                self._take_turn()
            except Unavailable:
                continue

    def _take_turn(self) -> None:
        with self._database.write() as session:
            renew_worker(session, NAME)
        with self._database.read() as session:
            waiting = [job.id for job in list_jobs(session, limit=20, state=State.QUEUED)]
        for job_id in waiting:
            with self._database.write() as session:
                claim = claim_job(session, job_id, NAME, LEASE_SECONDS)
            if claim is not None:
                self._work(claim)

    def _work(self, claim: Claim) -> None:
        hold = claim.hold
        for step in (128, 256):
            with self._database.write() as session:
                record_event(session, hold.job_id, "log", {"message": f"step {step}"})
                record_progress(session, hold, step, {"global_step": step, "policy_loss": 1 / step})
            self._stopping.wait(TURN_SECONDS)
        with self._database.write() as session:
            if renew_lease(session, hold, LEASE_SECONDS) == Desired.CANCEL:
                stop_job(session, hold, "cancelled: checkpointed and stopped")
                return
            if next(self._ends) == "fail":
                error = {"code": "training_diverged", "detail": "a loss became NaN", "hint": ""}
                fail_job(session, hold, error, Outcome.FAILED)
            else:
                lose_attempt(session, hold, Outcome.CRASHED, "the stand-in ends it so")
