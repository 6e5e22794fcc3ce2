"""A limit of time: counted over attempts, ended by whoever notices, resumed with as much again."""

import pytest
from factories import make_dataset, make_job

from app.jobs.lifecycle import Outcome
from app.registry.attempts import (
    Hold,
    claim_job,
    expire_job,
    finish_job,
    interrupt_job,
    list_attempts,
    lose_attempt,
    renew_lease,
)
from app.registry.database import Database
from app.registry.datasets import add_dataset
from app.registry.jobs import add_job, cancel, get_job, resume
from app.registry.late_holders import (
    lock_expired,
    lock_overdue,
    overdue_attempts,
)
from app.registry.tables import Attempt

HOUR = 3_600.0


@pytest.fixture
def job_id(database: Database) -> str:
    with database.write() as session:
        dataset = add_dataset(session, make_dataset())
        return add_job(session, make_job(dataset, max_seconds=2 * HOUR)).id


def claim(database: Database, job_id: str, lease: float = 60) -> tuple[Hold, float | None]:
    with database.write() as session:
        taken = claim_job(session, job_id, "worker-1", lease)
    assert taken is not None
    return taken.hold, taken.seconds_left


def let_pass(database: Database, hold: Hold, seconds: float) -> None:
    """As if the attempt had begun so much earlier."""
    with database.write() as session:
        attempt = next(each for each in list_attempts(session, hold.job_id) if each.fence == hold.fence)
        row = session.get_one(Attempt, (hold.job_id, attempt.number))
        assert row.claimed_at is not None
        row.claimed_at -= seconds
        if row.deadline_at is not None:
            row.deadline_at -= seconds


def test_time_is_counted_over_all_attempts_and_waiting_is_not(database: Database, job_id: str) -> None:
    hold, left = claim(database, job_id)
    assert left == 2 * HOUR
    let_pass(database, hold, HOUR / 2)
    with database.write() as session:
        assert interrupt_job(session, hold, "the worker stops")
    hold, left = claim(database, job_id)
    assert left == pytest.approx(1.5 * HOUR, abs=5)
    let_pass(database, hold, HOUR)
    with database.write() as session:
        assert lose_attempt(session, hold, Outcome.CRASHED, "killed")
    assert claim(database, job_id)[1] == pytest.approx(HOUR / 2, abs=5)


def test_a_job_without_a_limit_has_none(database: Database) -> None:
    with database.write() as session:
        job_id = add_job(session, make_job(add_dataset(session, make_dataset()))).id
    hold, left = claim(database, job_id)
    assert left is None
    let_pass(database, hold, 1_000 * HOUR)
    with database.write() as session:
        assert overdue_attempts(session, 0) == []
        assert interrupt_job(session, hold, "the worker stops")


@pytest.mark.parametrize("how", ["expire", "interrupt", "lose"])
def test_at_its_end_the_job_fails_says_why_and_is_resumed_with_as_much_again(
    database: Database, job_id: str, how: str
) -> None:
    hold, _ = claim(database, job_id)
    let_pass(database, hold, 2 * HOUR + 1)
    with database.write() as session:
        assert {
            "expire": lambda: expire_job(session, hold, "checkpointed and stopped"),
            "interrupt": lambda: interrupt_job(session, hold, "checkpointed and stopped"),
            "lose": lambda: lose_attempt(session, hold, Outcome.WORKER_LOST, "checkpointed and stopped"),
        }[how]()
    with database.write() as session:
        job = get_job(session, job_id)
        assert job.state == "failed"
        assert job.error == {
            "code": "deadline",
            "detail": "its limit of 2 h of training is used up: checkpointed and stopped",
            "hint": "POST /jobs/{id}/resume goes on from the last checkpoint, with as much time again",
            "max_hours": 2.0,
        }
        assert [attempt.outcome for attempt in list_attempts(session, job_id)] == ["failed"]
        resume(session, job_id)
    assert claim(database, job_id)[1] == 2 * HOUR


def test_a_wish_to_cancel_goes_before_the_deadline(database: Database, job_id: str) -> None:
    hold, _ = claim(database, job_id)
    let_pass(database, hold, 3 * HOUR)
    with database.write() as session:
        cancel(session, job_id)
    with database.write() as session:
        assert expire_job(session, hold, "stopped")
    with database.read() as session:
        assert get_job(session, job_id).state == "cancelled"


def test_a_stale_holder_expires_nothing(database: Database, job_id: str) -> None:
    hold, _ = claim(database, job_id)
    with database.write() as session:
        assert finish_job(session, hold, {})
        assert not expire_job(session, hold, "late")
        assert overdue_attempts(session, 0) == []


def test_the_reaper_knows_what_its_worker_did_not_end(database: Database, job_id: str) -> None:
    hold, _ = claim(database, job_id)
    let_pass(database, hold, 2 * HOUR + 30)
    with database.write() as session:
        assert overdue_attempts(session, 60) == []  # the worker may still be writing its last checkpoint
        assert overdue_attempts(session, 20) == [hold]
        assert lock_overdue(session, hold, 20)
        assert not lock_overdue(session, hold, 60)


def test_a_lease_that_was_renewed_meanwhile_is_not_reaped(database: Database, job_id: str) -> None:
    hold, _ = claim(database, job_id, lease=-1)
    with database.write() as session:
        assert lock_expired(session, hold)
        assert renew_lease(session, hold, 60)
        assert not lock_expired(session, hold)


def test_a_job_that_another_reaper_has_is_left_to_it(migrated_postgresql: str) -> None:
    database = Database(migrated_postgresql)
    with database.write() as session:
        dataset = add_dataset(session, make_dataset())
        job_id = add_job(session, make_job(dataset, max_seconds=HOUR)).id
    hold, _ = claim(database, job_id, lease=-1)
    let_pass(database, hold, 2 * HOUR)
    with database.write() as first, database.write() as second:
        assert lock_expired(first, hold)
        assert not lock_expired(second, hold)
        assert not lock_overdue(second, hold, 0)
    database.close()


def test_an_attempt_of_an_older_worker_has_no_deadline_and_counts_nothing(
    database: Database, job_id: str
) -> None:
    hold, _ = claim(database, job_id)
    with database.write() as session:
        row = session.get_one(Attempt, (job_id, 1))
        row.claimed_at = row.deadline_at = None
    with database.write() as session:
        assert overdue_attempts(session, 0) == []
        assert interrupt_job(session, hold, "the worker stops")
        assert get_job(session, job_id).used_seconds == 0
