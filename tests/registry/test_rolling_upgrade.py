"""The release before versions on this one's tables: what it writes is read here, what is written here it can read.

A test double: the statements of commit 33cc768 with the columns that it knows (tests/worker/first_release).
"""

import json
from pathlib import Path
from typing import Any

import pytest
from factories import make_dataset, make_job
from sqlalchemy import JSON, bindparam, column, insert, select, table, text, update

from app.jobs.lifecycle import Outcome
from app.registry.attempts import list_attempts
from app.registry.claims import Seat, claim_next
from app.registry.database import Database, new_id
from app.registry.datasets import add_dataset
from app.registry.jobs import add_job, cancel, get_job
from app.registry.outbox import next_messages
from app.registry.tables import Base, utc_now
from app.registry.workers import known_workers, live_workers, note_departure, queues_of

FIRST_RELEASE = Path(__file__).parents[1] / "worker" / "first_release"
COLUMNS: dict[str, list[str]] = json.loads((FIRST_RELEASE / "columns.json").read_text())
SEAT = Seat("caliper@new", ("caliper.cpu",))


def old(name: str) -> Any:
    """A table as the first release knows it."""
    known = Base.metadata.tables[name].c
    return table(name, *(column(each, known[each].type) for each in COLUMNS[name]))


class OldRelease:
    """What API and worker of the first release do to the registry."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def write(self, statement: Any, **values: Any) -> Any:
        with self.database.write() as session:
            result = session.execute(statement, values or None)
            return result.mappings().all() if result.returns_rows else []

    def submit(self, dataset_id: str) -> str:
        job = make_job(make_dataset(id=dataset_id))
        given = {name: getattr(job, name) for name in COLUMNS["jobs"]}
        usual = {"desired": "run", "attempt": 0, "failures": 0, "max_attempts": 3, "fence": 0}
        usual |= {"last_event": 1, "progress": {}, "tidied": 0, "created_at": utc_now()}
        row = {**given, **{name: value for name, value in usual.items() if given[name] is None}}
        self.write(insert(old("jobs")).values(**row))
        queued = {"job_id": job.id, "seq": 1, "kind": "state", "attempt": 0, "data": {"state": "queued"}}
        self.write(insert(old("events")).values(**queued, created_at=utc_now()))
        wake_up = {"job_id": job.id, "fence": 0, "queue": "caliper.cpu", "created_at": utc_now()}
        self.write(insert(table("outbox", *map(column, COLUMNS["outbox"][1:]))).values(**wake_up))
        return str(job.id)

    def register(self, name: str) -> None:
        row = {"id": name, "queue": "caliper.cpu", "tier": "cpu", "device": {}, "versions": {}}
        self.write(insert(old("workers")).values(**row, started_at=utc_now(), seen_at=0.0))
        clock = (
            "(julianday('now') - 2440587.5) * 86400.0"
            if self.database.is_sqlite
            else "EXTRACT(EPOCH FROM clock_timestamp())"
        )
        self.write(text(f"UPDATE workers SET seen_at = {clock} WHERE id = :id"), id=name)

    def claim(self, job_id: str, worker: str) -> int:
        jobs = old("jobs")
        values = {"fence": jobs.c.fence + 1, "attempt": jobs.c.attempt + 1, "state": "running"}
        taken = (
            update(jobs)
            .where(jobs.c.id == job_id, jobs.c.state == "queued")
            .values(**values, lease_expires_at=4e9)
            .returning(*(jobs.c[name] for name in COLUMNS["jobs"]))
        )
        (row,) = self.write(taken)
        attempt = {"job_id": job_id, "number": row["attempt"], "fence": row["fence"], "worker": worker}
        attempt |= {"started_at": utc_now(), "heartbeat_at": utc_now(), "reason": ""}
        self.write(insert(old("attempts")).values(**attempt))
        return int(row["fence"])

    def finish(self, job_id: str, fence: int) -> None:
        jobs, attempts = old("jobs"), old("attempts")
        won = update(jobs).where(jobs.c.id == job_id, jobs.c.fence == fence, jobs.c.state == "running")
        document = bindparam("result", {"return": 1.0}, type_=JSON)
        self.write(won.values(state="succeeded", result=document, lease_expires_at=None, ended_at=utc_now()))
        ended = update(attempts).where(attempts.c.job_id == job_id, attempts.c.fence == fence)
        self.write(ended.values(ended_at=utc_now(), outcome="succeeded"))

    def read(self, name: str) -> list[Any]:
        with self.database.read() as session:
            return list(session.execute(select(old(name))).mappings().all())


@pytest.fixture
def first(database: Database) -> OldRelease:
    return OldRelease(database)


@pytest.fixture
def dataset_id(database: Database) -> str:
    with database.write() as session:
        return str(add_dataset(session, make_dataset(id=new_id("dataset"))).id)


def test_a_job_of_the_first_release_s_api_is_taken_by_this_one_s_worker(
    database: Database, first: OldRelease, dataset_id: str
) -> None:
    job_id = first.submit(dataset_id)
    with database.read() as session:
        assert [(message.job_id, message.fence) for message in next_messages(session, 9)] == [(job_id, 0)]
        job = get_job(session, job_id)
        assert (job.priority, job.plan_version, job.max_seconds, job.used_seconds) == (0, 1, None, 0)
    with database.write() as session:
        taken = claim_next(session, SEAT, 60)
    assert taken is not None
    assert (taken.hold.job_id, taken.seconds_left) == (job_id, None)
    (row,) = first.read("jobs")
    assert (row["state"], row["fence"], row["attempt"]) == ("running", 1, 1)
    (attempt,) = first.read("attempts")
    assert (attempt["worker"], attempt["outcome"]) == ("caliper@new", None)


def test_a_job_of_this_release_s_api_is_taken_and_finished_by_the_first_one_s_worker(
    database: Database, first: OldRelease, dataset_id: str
) -> None:
    with database.write() as session:
        job_id = add_job(session, make_job(make_dataset(id=dataset_id), max_seconds=60.0, priority=3)).id
    fence = first.claim(job_id, "caliper@old")
    with database.write() as session:
        assert claim_next(session, SEAT, 60) is None
        assert [attempt.claimed_at for attempt in list_attempts(session, job_id)] == [None]
    first.finish(job_id, fence)
    with database.read() as session:
        job = get_job(session, job_id)
        assert (job.state, job.result, job.used_seconds) == ("succeeded", {"return": 1.0}, 0)
        assert [attempt.outcome for attempt in list_attempts(session, job_id)] == ["succeeded"]


def test_its_worker_is_known_as_one_of_an_older_release(database: Database, first: OldRelease) -> None:
    first.register("caliper@old")
    with database.read() as session:
        (worker,) = live_workers(session, 60)
        assert (worker.protocol, worker.plan_version, worker.drain) == (1, 1, None)
        assert queues_of(worker) == ("caliper.cpu",)
    with database.write() as session:
        note_departure(session, "caliper@old")
    with database.read() as session:
        assert live_workers(session, 60) == []
        assert [worker.id for worker in known_workers(session)] == ["caliper@old"]
    (row,) = first.read("workers")
    assert row["seen_at"] == 0  # by which the first release knows it as gone


def test_how_attempts_end_here_are_words_that_it_knows(
    database: Database, first: OldRelease, dataset_id: str
) -> None:
    """A new state, wish or outcome would break whoever reads it there: the release before must know it first."""
    known = {"succeeded", "failed", "cancelled", "interrupted", "crashed", "worker_lost"}
    assert {str(outcome) for outcome in Outcome} == known
    with database.write() as session:
        job_id = add_job(session, make_job(make_dataset(id=dataset_id))).id
        cancel(session, job_id)
    assert first.read("jobs")[0]["state"] == "cancelled"
