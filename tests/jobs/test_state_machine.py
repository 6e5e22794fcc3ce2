"""Any sequence of what users, workers and loops do leaves every job as the model says, on the real registry."""

import re
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import select

from app.jobs.lifecycle import State
from app.registry.attempts import finish_job
from app.registry.claims import Seat, claim_next
from app.registry.database import Database, migrate
from app.registry.tables import Job, Message
from tests.jobs.job_model import AMPLE, SPENT
from tests.jobs.machine_base import QUEUES
from tests.jobs.machine_loops import Loops
from tests.jobs.machine_users import WISHES
from tests.jobs.machine_workers import DEEDS, SEATS, WORKERS, Workers


class Jobs(Workers, Loops):
    """Users submit, cancel, resume and delete; workers claim, beat, save, end and leave; loops relay, reap and re-send."""

    def teardown(self) -> None:
        """Whatever happened, a sweep and workers that do their work bring every waiting job to its end."""
        self.worker_starts(WORKERS[0])
        self.flush_broker()
        self.resend()
        self.relay()
        woken = sum(map(len, self.broker.queues.values()))
        waiting = [job for job in self.model.values() if job.state == State.QUEUED and job.plan_version == 1]
        assert woken >= len(waiting)
        for _ in waiting:
            with self.database.write() as session:
                claim = claim_next(session, Seat(WORKERS[0], QUEUES), 60)
                assert claim is not None
                assert finish_job(session, claim.hold, {"fence": claim.hold.fence})
        with self.database.read() as session:
            assert session.scalars(select(Message)).all() == []
            ended = session.scalars(select(Job.state).where(Job.id.in_([job.job_id for job in waiting])))
            assert set(ended) <= {State.SUCCEEDED}


SITUATIONS = tuple(product((False, True), (0, 1), (AMPLE, SPENT)))
"""Whether its user wants it no more, attempts that were lost, its limit of time."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A registry; on PostgreSQL in the slow suite."""
    found = Database(str(request.getfixturevalue(f"migrated_{request.param}")))
    yield found
    found.close()


def test_every_deed_does_what_the_model_says_in_every_situation(database: Database) -> None:
    """Deeds of the holder, of a stale holder, and of the reaper; sequences are the next tests' matter."""
    machine = type("EverySituation", (Jobs,), {"database": database})
    for deed in (*dict.fromkeys(DEEDS), "reap", "delete_newest_checkpoint"):
        for unwanted, lost, limit in SITUATIONS:
            jobs = machine()
            job = jobs.model[jobs.submit_one(max_seconds=None)]
            for _ in range(lost):
                jobs.crash(jobs.take_message(job.job_id, 60.0))
            hold = jobs.take_message(job.job_id, -1.0 if deed == "reap" else 60.0)
            if deed == "delete_newest_checkpoint":
                jobs.save(hold)
            jobs.set_limit(job, limit)
            if unwanted:
                jobs.ask_to_cancel(job)
            act = getattr(jobs, deed)
            act(*{"reap": (), "delete_newest_checkpoint": (job,)}.get(deed, (hold,)))
            jobs.every_job_is_as_the_model_says()


def test_a_stale_holder_does_nothing_whatever_it_does(database: Database) -> None:
    machine = type("StaleHolders", (Jobs,), {"database": database})
    for deed in dict.fromkeys(DEEDS):
        jobs = machine()
        job_id = jobs.submit_one()
        stale = jobs.take_message(job_id, 60.0)
        jobs.hand_back(stale)
        jobs.every_job_is_as_the_model_says()
        for _ in range(2):  # while it waits, and while another holds it
            getattr(jobs, deed)(stale)
            jobs.every_job_is_as_the_model_says()
            jobs.take_message(job_id, 60.0)


def test_a_lost_wake_up_is_sent_again_whatever_a_stale_holder_did_meanwhile(database: Database) -> None:
    machine = type("StaleAfterRelay", (Jobs,), {"database": database})
    for deed in dict.fromkeys(DEEDS):
        jobs = machine()
        stale = jobs.take_message(jobs.submit_one(), 60.0)
        jobs.hand_back(stale)
        jobs.relay()
        getattr(jobs, deed)(stale)
        jobs.teardown()


def test_every_wish_does_what_the_model_says_in_every_state(database: Database) -> None:
    machine = type("EveryWish", (Jobs,), {"database": database})
    for state, wish in product(State, WISHES):
        jobs = machine()
        job = jobs.model[jobs.submit_one()]
        first = jobs.take_message(job.job_id, 60.0)
        jobs.save(first)
        jobs.crash(first)
        if state != State.QUEUED:
            hold = jobs.take_message(job.job_id, 60.0)
            jobs.save(hold)
            jobs.save(hold)
            if state == State.CANCELLED:
                jobs.ask_to_cancel(job)
            ends = {State.SUCCEEDED: jobs.finish, State.FAILED: jobs.fail, State.CANCELLED: jobs.stop}
            ends.get(state, jobs.look)(hold)
        for _ in range(2):
            getattr(jobs, wish)(job)
            jobs.every_job_is_as_the_model_says()


def test_workers_take_what_is_next_in_line_and_nothing_once_they_are_to_leave(database: Database) -> None:
    jobs = type("InLine", (Jobs,), {"database": database})()
    for key, queue, priority, plan in product((None, "key_1"), QUEUES, (0, 5, 5), (1, 2)):
        jobs.submit_one(queue, priority, key, plan)
    stays, leaves = WORKERS
    jobs.worker_is_to_leave(leaves)
    for queues in SEATS * 2:
        jobs.wake_worker(leaves, queues, 60.0)
        jobs.wake_worker(stays, queues, 60.0)
        jobs.every_job_is_as_the_model_says()
    jobs.worker_starts(leaves)
    jobs.wake_worker(leaves, QUEUES, 60.0)
    assert sum(job.is_held for job in jobs.model.values()) == len(SEATS) * 2 + 1


def test_no_sequence_of_actions_and_events_leaves_the_model() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/registry.db"
        migrate(url)
        database = Database(url)
        machine = type("JobsOnSqlite", (Jobs,), {"database": database})
        run_state_machine_as_test(machine, settings=settings(max_examples=20, stateful_step_count=40))
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
