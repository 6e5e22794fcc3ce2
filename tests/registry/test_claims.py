"""What a worker takes: the order of the whole line in SQL, rows that others hold, plans, queues, and the wish to leave."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from factories import make_dataset, make_job
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from app.errors import NotFound
from app.jobs.fair_share import weigh
from app.jobs.protocol import PLAN_VERSION
from app.registry.attempts import Claim, finish_job, interrupt_job
from app.registry.claims import Seat, claim_next, running_by_key, used_by_key
from app.registry.database import Database, migrate
from app.registry.datasets import add_dataset
from app.registry.jobs import add_job, resume
from app.registry.queue_state import line_of
from app.registry.tables import Attempt, Dataset, Job, Share, Worker
from app.registry.workers import (
    Drain,
    ask_to_leave,
    asked_to_leave,
    describe_worker,
    known_workers,
    live_workers,
    note_departure,
    queues_of,
    register_worker,
)

START = datetime(2026, 11, 23, tzinfo=UTC)
CPU = "caliper.cpu"
SEAT = Seat("worker-1", (CPU,))


@pytest.fixture
def dataset(database: Database) -> Dataset:
    with database.write() as session:
        return add_dataset(session, make_dataset())


def queue_job(database: Database, dataset: Dataset, **values: Any) -> str:
    with database.write() as session:
        return add_job(session, make_job(dataset, **values)).id


def claim(database: Database, seat: Seat = SEAT) -> Claim | None:
    with database.write() as session:
        return claim_next(session, seat, 60)


def taken(database: Database, seat: Seat = SEAT) -> str | None:
    found = claim(database, seat)
    return found.hold.job_id if found else None


def test_the_next_job_is_taken_whatever_the_message_named(database: Database, dataset: Dataset) -> None:
    low = queue_job(database, dataset, priority=-1)
    usual = queue_job(database, dataset)
    high = queue_job(database, dataset, priority=3)
    assert [taken(database) for _ in range(4)] == [high, usual, low, None]


def test_keys_take_turns_and_use_is_remembered(database: Database, dataset: Dataset) -> None:
    ada = [queue_job(database, dataset, key_id="ada") for _ in range(3)]
    bob = queue_job(database, dataset, key_id="bob")
    first = claim(database)
    assert first is not None
    assert first.hold.job_id == ada[0]
    assert taken(database) == bob  # ada runs one
    with database.write() as session:
        session.get_one(Attempt, (ada[0], 1)).claimed_at -= 3_600  # type: ignore[operator]
        assert finish_job(session, first.hold, {})
    with database.read() as session:
        assert running_by_key(session, CPU) == {"bob": 1}
        used = used_by_key(session, CPU)["ada"]
        ended = session.get_one(Attempt, (ada[0], 1)).claimed_at or 0.0
        assert used == pytest.approx(weigh(3_600.0, ended + 3_600), rel=1e-3)
        assert session.get_one(Job, ada[0]).used_seconds == pytest.approx(3_600, abs=5)


def test_a_job_that_comes_back_keeps_its_place_and_one_that_is_resumed_goes_to_the_end(
    database: Database, dataset: Dataset
) -> None:
    jobs = [queue_job(database, dataset) for _ in range(3)]
    first = claim(database)
    assert first is not None
    with database.write() as session:
        assert interrupt_job(session, first.hold, "the worker stops")
    assert taken(database) == jobs[0]
    with database.write() as session:
        session.get_one(Job, jobs[1]).state = "failed"
    with database.write() as session:
        resume(session, jobs[1])
    assert [taken(database) for _ in range(2)] == [jobs[2], jobs[1]]


def test_a_worker_takes_smaller_tiers_jobs_only_while_its_own_has_none(
    database: Database, dataset: Dataset
) -> None:
    small = queue_job(database, dataset, queue="caliper.low", tier="low", priority=9)
    own = queue_job(database, dataset, queue="caliper.a100", tier="a100")
    seat = Seat("worker-1", ("caliper.a100", "caliper.low"))
    assert [taken(database, seat) for _ in range(3)] == [own, small, None]
    queue_job(database, dataset, queue="caliper.low", tier="low")
    assert taken(database, Seat("worker-2", ("caliper.a100",))) is None


def test_a_plan_of_a_newer_release_is_left_to_newer_workers(database: Database, dataset: Dataset) -> None:
    newer = queue_job(database, dataset, priority=1, plan_version=PLAN_VERSION + 1)
    known = queue_job(database, dataset)
    assert [taken(database) for _ in range(2)] == [known, None]
    assert taken(database, Seat("worker-2", (CPU,), PLAN_VERSION + 1)) == newer


def test_workers_that_ask_at_once_each_take_another_job(database: Database, dataset: Dataset) -> None:
    jobs = {queue_job(database, dataset) for _ in range(8)}
    start, found = threading.Barrier(8), list[str | None]()

    def work(number: int) -> None:
        start.wait()
        found.append(taken(database, Seat(f"worker-{number}", (CPU,))))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == jobs


def test_a_row_that_another_worker_is_taking_is_passed_over(migrated_postgresql: str) -> None:
    """A worker that is frozen in the midst of its claim holds up nobody."""
    database = Database(migrated_postgresql)
    with database.write() as session:
        dataset = add_dataset(session, make_dataset())
    first, second = (queue_job(database, dataset) for _ in range(2))
    with database.write() as frozen:
        frozen.execute(select(Job.id).where(Job.id == first).with_for_update())
        assert taken(database) == second
        assert taken(database) is None
    assert taken(database) == first
    database.close()


# Leaving


@pytest.fixture
def worker(database: Database) -> str:
    with database.write() as session:
        register_worker(session, describe_worker("worker-1", [CPU, "caliper.low"], "cpu", {}, {}))
    return "worker-1"


@pytest.mark.parametrize("drain", Drain)
def test_a_worker_that_is_to_leave_takes_no_job(
    database: Database, dataset: Dataset, worker: str, drain: Drain
) -> None:
    job_id = queue_job(database, dataset)
    with database.read() as session:
        assert asked_to_leave(session, worker) is None
        assert queues_of(session.get_one(Worker, worker)) == (CPU, "caliper.low")
    with database.write() as session:
        ask_to_leave(session, worker, drain, 60)
    with database.read() as session:
        assert asked_to_leave(session, worker) is drain
        (row,) = live_workers(session, 60)
        assert queues_of(row) == ()
    assert taken(database) is None
    assert taken(database, Seat("worker-2", (CPU,))) == job_id


def test_one_that_left_is_known_but_not_alive_and_starts_anew(database: Database, worker: str) -> None:
    with database.write() as session:
        ask_to_leave(session, worker, Drain.DONE, 60)
        note_departure(session, worker)
    with database.read() as session:
        assert live_workers(session, 60) == []
        (known,) = known_workers(session)
        assert (known.id, known.seen_at) == (worker, 0.0)
        assert known.left_at is not None
    with database.write() as session, pytest.raises(NotFound, match="no worker 'worker-1' is alive"):
        ask_to_leave(session, worker, Drain.NOW, 60)
    with database.write() as session:
        register_worker(session, describe_worker(worker, CPU, "cpu", {}, {}))
    with database.read() as session:
        assert asked_to_leave(session, worker) is None
        assert [each.id for each in live_workers(session, 60)] == [worker]


def test_a_worker_is_forgotten_after_a_month(database: Database, worker: str) -> None:
    with database.write() as session:
        session.get_one(Worker, worker).seen_at -= 31 * 86_400
    with database.read() as session:
        assert known_workers(session) == []
    with database.write() as session:
        register_worker(session, describe_worker("worker-2", CPU, "cpu", {}, {}))
        assert session.get(Worker, worker) is None


def test_the_wish_to_leave_waits_for_a_claim_that_is_on_its_way(migrated_postgresql: str) -> None:
    """Once the wish is answered, no job is taken any more: not even by a claim that began before it."""
    database = Database(migrated_postgresql)
    with database.write() as session:
        dataset = add_dataset(session, make_dataset())
        register_worker(session, describe_worker("worker-1", CPU, "cpu", {}, {}))
    job_id = queue_job(database, dataset)
    asked, claiming = threading.Event(), threading.Event()

    def ask() -> None:
        claiming.wait(10)
        with database.write() as session:
            ask_to_leave(session, "worker-1", Drain.DONE, 60)
        asked.set()

    thread = threading.Thread(target=ask)
    thread.start()
    with database.write() as session:
        found = claim_next(session, SEAT, 60)
        claiming.set()
        assert not asked.wait(0.3)
    thread.join(10)
    assert asked.is_set()
    assert found is not None
    assert found.hold.job_id == job_id
    database.close()


# The whole line


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A registry that many examples empty and fill."""
    folder: Path = tmp_path_factory.mktemp("claims")
    url = f"sqlite:///{folder}/registry.db"
    if request.param == "postgresql":
        server = str(request.getfixturevalue("postgresql_url"))
        admin = Database(server)
        admin.run_alone("CREATE DATABASE claims")
        admin.close()
        url = server.replace("/postgres?", "/claims?")
    migrate(url)
    database = Database(url)
    with database.write() as session:
        add_dataset(session, make_dataset(id="dataset_1"))
    yield database
    database.close()


rows = st.lists(
    st.tuples(
        st.sampled_from([None, "ada", "bob", "cyd"]),
        st.integers(-1, 1),
        st.integers(0, 30),
        st.sampled_from(["queued", "queued", "queued", "running"]),
    ),
    max_size=12,
)
shares = st.dictionaries(st.sampled_from(["", "ada", "bob"]), st.floats(0, 1e6), max_size=3)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows, shares)
def test_sql_takes_jobs_one_by_one_in_the_order_that_the_line_tells(
    shared: Database, rows: list[tuple[str | None, int, int, str]], shares: dict[str, float]
) -> None:
    dataset = make_dataset(id="dataset_1")
    with shared.write() as session:
        for table in (Share, Job):
            session.execute(delete(table))
        session.add_all(Share(queue=CPU, key=key, used=used) for key, used in shares.items())
        for number, (key, priority, minute, state) in enumerate(rows):
            at = START + timedelta(minutes=minute)
            values = {"id": f"job_{number:02}", "key_id": key, "priority": priority, "state": state}
            session.add(make_job(dataset, **values, queued_at=at, created_at=at))
    with shared.read() as session:
        told = [waiter.job_id for waiter in line_of(session, CPU)]
    assert sorted(told) == sorted(f"job_{n:02}" for n, row in enumerate(rows) if row[3] == "queued")
    found = []
    while (job_id := taken(shared)) is not None:
        found.append(job_id)
    assert found == told


def test_a_job_of_an_older_release_is_as_old_as_its_creation(database: Database, dataset: Dataset) -> None:
    old = queue_job(database, dataset, queued_at=None, created_at=START)
    new = queue_job(database, dataset, queued_at=START + timedelta(minutes=1), created_at=START)
    with database.write() as session:
        session.get_one(Job, old).queued_at = None  # the column's own default is of this release
    with database.read() as session:
        assert [waiter.job_id for waiter in line_of(session, CPU)] == [old, new]
    assert [taken(database), taken(database)] == [old, new]
