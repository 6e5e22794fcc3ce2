"""Any sequence of what users, workers and loops do leaves every job in a legal state, on the real registry."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from factories import make_checkpoint, make_dataset, make_job
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select

from app.errors import IllegalMove
from app.jobs.lifecycle import Outcome, State
from app.registry.attempts import (
    Hold,
    claim_job,
    expired_leases,
    fail_job,
    finish_job,
    holds_job,
    interrupt_job,
    lose_attempt,
    renew_lease,
    stop_job,
)
from app.registry.checkpoint_lists import list_checkpoints
from app.registry.checkpoints import add_checkpoint, delete_checkpoint, point_job_at
from app.registry.database import Database, Session, migrate
from app.registry.datasets import add_dataset
from app.registry.jobs import add_job, cancel, get_job, resume
from app.registry.metrics import record_progress
from app.registry.outbox import add_message, drop_messages, next_messages, silent_jobs
from app.registry.tables import Base, Job, Message
from tests.jobs.job_invariants import MAX_ATTEMPTS, Seen, check_counts, check_row, check_story

DEEDS = ("beat", "beat_late", "report", "save", "finish", "fail", "stop", "hand_back", "crash")
WISHES = ("ask_to_cancel", "ask_to_resume", "ask_to_resume", "delete_newest_checkpoint")
MOST_JOBS = 2
"""More would each see less happen."""


class Jobs(RuleBasedStateMachine):
    """Users submit, cancel, resume and delete; workers claim, beat, save and end; loops relay, reap and re-send."""

    database: Database
    jobs: Bundle[str] = Bundle("jobs")
    holds: Bundle[Hold] = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        with self.database.write() as session:
            for table in reversed(Base.metadata.sorted_tables):
                session.execute(delete(table))
        self.seen: dict[str, Seen] = {}
        self.broker: list[tuple[str, int]] = []
        self.results: dict[str, int] = {}
        self.held: dict[str, Hold] = {}

    @initialize(target=jobs)
    def begin(self) -> str:
        return self.submit_one()

    @precondition(lambda self: len(self.seen) < MOST_JOBS)
    @rule(target=jobs)
    def submit(self) -> str:
        return self.submit_one()

    def submit_one(self) -> str:
        with self.database.write() as session:
            dataset = add_dataset(session, make_dataset())
            job_id = add_job(session, make_job(dataset, max_attempts=MAX_ATTEMPTS)).id
        self.seen[job_id] = Seen()
        return job_id

    def ask_to_cancel(self, job_id: str) -> None:
        self._wish(job_id, cancel, {State.QUEUED, State.RUNNING})

    def ask_to_resume(self, job_id: str) -> None:
        self._wish(job_id, resume, {State.FAILED, State.CANCELLED})

    def delete_newest_checkpoint(self, job_id: str) -> None:
        with self.database.write() as session:
            for checkpoint in list_checkpoints(session, limit=1, filters={"job_id": job_id}):
                delete_checkpoint(session, checkpoint)

    # Few rules with many deeds: hypothesis leaves out some rules of each example, and most stories need several.
    @rule(job_id=jobs, wish=st.sampled_from(WISHES))
    def user_wishes(self, job_id: str, wish: str) -> None:
        getattr(self, wish)(job_id)

    @rule(hold=holds, job_id=jobs, newest=st.booleans(), deed=st.sampled_from(DEEDS))
    def holder_acts(self, hold: Hold, job_id: str, newest: bool, deed: str) -> None:
        """The newest holder of a job, or any that there ever was."""
        getattr(self, deed)(self.held.get(job_id, hold) if newest else hold)

    @rule(turn=st.sampled_from(["reap", "relay", "relay_and_die", "flush_broker", "resend"]))
    def loop_turns(self, turn: str) -> None:
        getattr(self, turn)()

    @rule(target=holds, job_id=jobs, lease=st.sampled_from([60.0, -1.0]))
    def take_message(self, job_id: str, lease: float) -> Any:
        """A worker gets a message, which may be doubled or late: of any job, at any time."""
        before = self._state(job_id)
        with self.database.write() as session:
            claim = claim_job(session, job_id, "worker", lease)
        assert (claim is not None) == (before == State.QUEUED)
        if claim is None:
            return multiple()
        self.held[job_id] = claim.hold
        return claim.hold

    def beat(self, hold: Hold) -> None:
        self._write_as(hold, lambda session: renew_lease(session, hold, 60.0) is not None)

    def beat_late(self, hold: Hold) -> None:
        self._write_as(hold, lambda session: renew_lease(session, hold, -1.0) is not None)

    def report(self, hold: Hold) -> None:
        self._write_as(hold, lambda session: record_progress(session, hold, 5, {"loss": 1.0}))

    def save(self, hold: Hold) -> None:
        def write(session: Session) -> bool:
            if not holds_job(session, hold):
                return False
            row = add_checkpoint(
                session, make_checkpoint(job_id=hold.job_id, kind="periodic", step=hold.fence)
            )
            return point_job_at(session, hold, row.id)

        self._write_as(hold, write)

    def finish(self, hold: Hold) -> None:
        if self._write_as(hold, lambda session: finish_job(session, hold, {"fence": hold.fence})):
            self.results[hold.job_id] = hold.fence

    def fail(self, hold: Hold) -> None:
        error = {"code": "training_diverged", "detail": "NaN"}
        self._write_as(hold, lambda session: fail_job(session, hold, error, Outcome.FAILED))

    def stop(self, hold: Hold) -> None:
        self._write_as(hold, lambda session: stop_job(session, hold, "cancelled"))

    def hand_back(self, hold: Hold) -> None:
        self._write_as(hold, lambda session: interrupt_job(session, hold, "the worker stops"))

    def crash(self, hold: Hold) -> None:
        self._write_as(hold, lambda session: lose_attempt(session, hold, Outcome.CRASHED, "signal 9"))

    def reap(self) -> None:
        with self.database.read() as session:
            expired = expired_leases(session)
        for hold in expired:
            self._write_as(
                hold, lambda session, hold=hold: lose_attempt(session, hold, Outcome.WORKER_LOST, "x")
            )

    def relay_and_die(self) -> None:
        self.relay(crashes=True)

    def relay(self, *, crashes: bool = False) -> None:
        """A relay that dies between sending and dropping sends twice."""
        with self.database.write() as session:
            pending = next_messages(session, 1_000)
            self.broker += [(message.job_id, message.fence) for message in pending]
            if not crashes:
                drop_messages(session, [message.id for message in pending])

    def flush_broker(self) -> None:
        self.broker.clear()

    def resend(self) -> None:
        with self.database.write() as session:
            for job in silent_jobs(session):
                if (job.id, job.fence) not in self.broker:
                    add_message(session, job)

    @invariant()
    def every_job_is_legal(self) -> None:
        with self.database.read() as session:
            for job_id, seen in self.seen.items():
                job = get_job(session, job_id)
                check_counts(session, job, seen)
                check_row(job, self.results.get(job_id, job.fence))
                check_story(session, job, seen)

    def teardown(self) -> None:
        """Whatever happened, a sweep and a worker that does its work bring every waiting job to its end."""
        self.flush_broker()
        self.resend()
        self.relay()
        waiting = {job_id for job_id in self.seen if self._state(job_id) == State.QUEUED}
        assert waiting <= {job_id for job_id, _ in self.broker}
        for job_id in waiting:
            with self.database.write() as session:
                claim = claim_job(session, job_id, "worker", 60)
                assert claim is not None
                assert finish_job(session, claim.hold, {"fence": claim.hold.fence})
        with self.database.write() as session:
            assert session.scalars(select(Message)).all() == []

    def _write_as(self, hold: Hold, write: Callable[[Session], bool]) -> bool:
        """Write as a holder does: it changes the job exactly where its fence still holds it."""
        with self.database.read() as session:
            before = get_job(session, hold.job_id)
            holds = before.state == State.RUNNING and before.fence == hold.fence
            events = before.last_event
        with self.database.write() as session:
            written = write(session)
        assert written == holds
        if not holds:
            with self.database.read() as session:
                assert get_job(session, hold.job_id).last_event == events
        return written

    def _wish(self, job_id: str, act: Callable[[Session, str], Job], allowed: set[State]) -> None:
        before = self._state(job_id)
        try:
            with self.database.write() as session:
                act(session, job_id)
        except IllegalMove:
            assert before not in allowed
        else:
            assert before in allowed

    def _state(self, job_id: str) -> State:
        with self.database.read() as session:
            return State(get_job(session, job_id).state)


def test_no_sequence_of_actions_and_events_reaches_an_illegal_state() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/registry.db"
        migrate(url)
        database = Database(url)
        machine = type("JobsOnSqlite", (Jobs,), {"database": database})
        run_state_machine_as_test(machine, settings=settings(max_examples=30, stateful_step_count=40))
        database.close()


@pytest.mark.slow
def test_nor_does_one_on_postgresql(fresh_postgresql: str) -> None:
    migrate(fresh_postgresql)
    database = Database(fresh_postgresql)
    machine = type("JobsOnPostgresql", (Jobs,), {"database": database})
    run_state_machine_as_test(machine, settings=settings(max_examples=100, stateful_step_count=40))
    database.close()


def test_only_the_table_of_moves_changes_a_jobs_state() -> None:
    """The one UPDATE that sets a job's state is `move_job`'s; a job's row is built in one place."""
    root = Path(__file__).parents[2]
    sets_state = re.compile(r"\bJob\b[^\n]*\.values\([^)]*\bstate=|\bjob\.state = |\.values\(state=str\(move")
    found = [
        path.name
        for folder in ("app/registry", "app/actions", "worker")
        for path in (root / folder).rglob("*.py")
        for _ in sets_state.findall(path.read_text())
    ]
    assert found == ["attempts.py"]
