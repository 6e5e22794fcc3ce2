"""Claim, fence, lease: exactly one holder at a time, and a stale one changes nothing."""

import threading
import time

import pytest
from factories import make_dataset, make_job

from app.jobs.lifecycle import Desired, Outcome
from app.registry.attempts import (
    Hold,
    claim_job,
    fail_job,
    finish_job,
    holds_job,
    interrupt_job,
    list_attempts,
    lose_attempt,
    note_versions,
    renew_lease,
    stop_job,
)
from app.registry.database import Database, migrate
from app.registry.datasets import add_dataset
from app.registry.events import events_after
from app.registry.jobs import add_job, cancel, get_job
from app.registry.late_holders import (
    expired_leases,
)
from app.registry.metrics import record_progress
from app.registry.outbox import drop_messages, next_messages, silent_jobs


@pytest.fixture
def job_id(database: Database) -> str:
    with database.write() as session:
        dataset = add_dataset(session, make_dataset())
        return add_job(session, make_job(dataset, max_attempts=2)).id


def claim(database: Database, job_id: str, lease: float = 60) -> Hold:
    with database.write() as session:
        taken = claim_job(session, job_id, "worker-1", lease)
    assert taken is not None
    return taken.hold


def test_a_job_is_claimed_once(database: Database, job_id: str) -> None:
    hold = claim(database, job_id)
    with database.write() as session:
        assert claim_job(session, job_id, "worker-2", 60) is None
    with database.read() as session:
        job = get_job(session, job_id)
        assert (job.state, job.fence, job.attempt) == ("running", hold.fence, 1)


def test_of_many_workers_at_once_one_wins(database: Database, job_id: str) -> None:
    won: list[Hold] = []
    start = threading.Barrier(8)

    def work(name: str) -> None:
        start.wait()
        with database.write() as session:
            taken = claim_job(session, job_id, name, 60)
        if taken is not None:
            won.append(taken.hold)

    threads = [threading.Thread(target=work, args=(f"worker-{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_stale_holder_changes_nothing(database: Database, job_id: str) -> None:
    old = claim(database, job_id, lease=-1)
    with database.write() as session:
        assert expired_leases(session) == [old]
        assert lose_attempt(session, old, Outcome.WORKER_LOST, "no heartbeat")
    new = claim(database, job_id)
    assert new.fence > old.fence
    with database.write() as session:
        assert renew_lease(session, old, 60) is None
        assert not record_progress(session, old, 10, {"loss": 1.0})
        assert not finish_job(session, old, {"return": 1.0})
        assert not stop_job(session, old, "cancelled")
        assert not interrupt_job(session, old, "stopping")
        assert not fail_job(session, old, {"code": "x"}, Outcome.FAILED)
        assert not holds_job(session, old)
        assert holds_job(session, new)
    with database.write() as session:
        assert finish_job(session, new, {"return": 2.0})
    with database.read() as session:
        assert get_job(session, job_id).result == {"return": 2.0}
        assert [a.outcome for a in list_attempts(session, job_id)] == ["worker_lost", "succeeded"]


def test_what_runs_an_attempt_is_noted_by_its_holder_alone(database: Database, job_id: str) -> None:
    hold = claim(database, job_id)
    with database.write() as session:
        assert not note_versions(session, Hold(job_id, hold.fence + 1), {"commit": "stale"})
        assert note_versions(session, hold, {"caliper": "0.1.0", "commit": "abc1234"})
    with database.read() as session:
        assert [each.versions for each in list_attempts(session, job_id)] == [
            {"caliper": "0.1.0", "commit": "abc1234"}
        ]


def test_a_heartbeat_extends_the_lease_and_brings_the_users_wish(database: Database, job_id: str) -> None:
    hold = claim(database, job_id, lease=-1)
    with database.write() as session:
        assert renew_lease(session, hold, 60) is Desired.RUN
        assert expired_leases(session) == []
        cancel(session, job_id)
    with database.write() as session:
        assert renew_lease(session, hold, 60) is Desired.CANCEL


def test_lost_attempts_end_at_the_cap_with_the_reason(database: Database, job_id: str) -> None:
    for _ in range(2):
        hold = claim(database, job_id)
        with database.write() as session:
            assert lose_attempt(session, hold, Outcome.CRASHED, "killed by signal 9")
    with database.read() as session:
        job = get_job(session, job_id)
        assert job.state == "failed"
        assert job.error is not None
        assert job.error["code"] == "crashed"
        assert "signal 9; attempt 2 of 2" in job.error["detail"]


def test_a_lost_attempt_of_a_cancelled_job_is_its_end(database: Database, job_id: str) -> None:
    hold = claim(database, job_id)
    with database.write() as session:
        cancel(session, job_id)
        assert lose_attempt(session, hold, Outcome.WORKER_LOST, "no heartbeat")
    with database.read() as session:
        job = get_job(session, job_id)
        assert (job.state, job.failures) == ("cancelled", 0)
        assert list_attempts(session, job_id)[0].reason == "cancelled; no heartbeat"


def test_an_interruption_costs_no_attempt(database: Database, job_id: str) -> None:
    for _ in range(5):
        hold = claim(database, job_id)
        with database.write() as session:
            assert interrupt_job(session, hold, "the worker stops")
    with database.read() as session:
        job = get_job(session, job_id)
        assert (job.state, job.failures, job.attempt) == ("queued", 0, 5)


def test_every_requeue_writes_a_wake_up(database: Database, job_id: str) -> None:
    with database.write() as session:
        drop_messages(session, [message.id for message in next_messages(session, 10)])
        assert [job.id for job in silent_jobs(session)] == [job_id]
    hold = claim(database, job_id)
    with database.write() as session:
        interrupt_job(session, hold, "the worker stops")
    with database.read() as session:
        assert [(m.job_id, m.fence) for m in next_messages(session, 10)] == [(job_id, hold.fence)]
        assert silent_jobs(session) == []


def test_events_count_without_holes(database: Database, job_id: str) -> None:
    hold = claim(database, job_id)
    with database.write() as session:
        for step in range(3):
            assert record_progress(session, hold, step, {"loss": float(step)})
        finish_job(session, hold, {})
    with database.read() as session:
        events = events_after(session, job_id, 0, 100)
        assert [e.seq for e in events] == [1, 2, 3, 4, 5, 6]
        assert [e.kind for e in events] == ["state", "state", "progress", "progress", "progress", "state"]
        assert [e.seq for e in events_after(session, job_id, 4, 1)] == [5]


def test_concurrent_writers_leave_no_hole_in_the_events(database: Database, job_id: str) -> None:
    hold = claim(database, job_id)

    def work(first: int) -> None:
        for step in range(first, first + 10):
            with database.write() as session:
                record_progress(session, hold, step, {"loss": 0.5})

    threads = [threading.Thread(target=work, args=(i * 100,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert [e.seq for e in events_after(session, job_id, 0, 100)] == list(range(1, 43))


def test_an_interrupted_job_that_its_user_cancelled_meanwhile_is_not_queued_again(
    database: Database, job_id: str
) -> None:
    hold = claim(database, job_id)
    with database.write() as session:
        cancel(session, job_id)
    with database.write() as session:
        assert interrupt_job(session, hold, "the worker stops")
    with database.read() as session:
        assert get_job(session, job_id).state == "cancelled"
        assert list_attempts(session, job_id)[0].reason == "cancelled; the worker stops"


@pytest.mark.parametrize("lose", [True, False], ids=["lost", "interrupted"])
def test_a_wish_to_cancel_that_comes_while_the_attempt_is_ended_is_not_forgotten(
    fresh_postgresql: str, lose: bool
) -> None:
    """On PostgreSQL the two overlap: the end waits for the wish's row lock and must read the row again."""
    migrate(fresh_postgresql)
    database = Database(fresh_postgresql)
    with database.write() as session:
        job_id = add_job(session, make_job(add_dataset(session, make_dataset()))).id
    hold = claim(database, job_id)

    def end() -> None:
        with database.write() as session:
            get_job(session, job_id)  # as it was before the wish, kept by the session
            reading.set()
            wished.wait(10)
            if lose:
                lose_attempt(session, hold, Outcome.CRASHED, "killed")
            else:
                interrupt_job(session, hold, "stopping")

    reading, wished = threading.Event(), threading.Event()
    thread = threading.Thread(target=end)
    thread.start()
    assert reading.wait(10)
    with database.write() as session:
        cancel(session, job_id)
    wished.set()
    thread.join(20)
    with database.read() as session:
        assert get_job(session, job_id).state == "cancelled"
    database.close()


def test_a_stepped_clock_of_a_worker_moves_no_lease(
    database: Database, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leases are written and judged by the database's clock alone; tests/chaos steps a whole process' clock."""
    for step in (86_400.0, -86_400.0):
        with monkeypatch.context() as stepped:
            real = time.time
            stepped.setattr(time, "time", lambda real=real, step=step: real() + step)
            hold = claim(database, job_id, lease=60)
            with database.read() as session:
                assert expired_leases(session) == []
                lease = get_job(session, job_id).lease_expires_at
        assert lease is not None
        assert 0 < lease - time.time() < 70
        with database.write() as session:
            assert interrupt_job(session, hold, "again")
