"""Every list, look-up and diff finds its rows by an index, in the order that it shows them, on both databases."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from factories import make_checkpoint, make_dataset, make_job
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from app.actions.compare_checkpoints import origin_of
from app.registry.attempts import (
    list_attempts,
)
from app.registry.checkpoint_lists import list_checkpoints
from app.registry.checkpoints import (
    add_checkpoint,
    ancestors_of,
    find_checkpoint,
    find_twin,
    labels_of,
    set_aliases,
    set_tags,
)
from app.registry.claims import Seat, claim_next
from app.registry.database import Database, migrate
from app.registry.events import events_after
from app.registry.files import named_files
from app.registry.job_lists import list_jobs
from app.registry.jobs import get_job
from app.registry.late_holders import (
    expired_leases,
    overdue_attempts,
)
from app.registry.measured import add_job_metrics
from app.registry.metrics import list_metrics
from app.registry.queue_state import line_of
from app.registry.retention import Tidied, jobs_to_tidy
from app.registry.tables import Job, JobDataset, Metric, utc_now

BIG = ("jobs", "job_datasets", "attempts", "events", "metrics", "checkpoints", "checkpoint_metrics", "tags")
BIG += ("evaluations", "job_metrics")
ROWS = 300

Query = Callable[[Session], Any]

LISTS: dict[str, Query] = {
    "jobs": lambda session: list_jobs(session, limit=5),
    "jobs, deep": lambda session: list_jobs(session, limit=5, before="job_00150"),
    "jobs by state": lambda session: list_jobs(session, limit=5, state="failed", before="job_00150"),
    "jobs by priority": lambda session: list_jobs(session, limit=5, priority=0, before="job_00150"),
    "jobs by dataset": lambda session: list_jobs(
        session, limit=5, dataset_id="dataset_1", before="job_00150"
    ),
    **{
        f"jobs by {' and '.join(given)}": lambda session, given=given: list_jobs(
            session, limit=5, before="job_00150", **given
        )
        for given in (
            {"hidden_dims": "8"},
            {"obs_dim": 5300},
            {"tier": "cpu"},
            {"metric": "test.sharpe"},
            {"metric": "test.sharpe", "metric_min": 10.0, "metric_max": 20.0},
            {"name": "first"},
            {"name": "first", "state": "failed"},
        )
    },
    **{
        f"checkpoints by {' and '.join(given)}": lambda session, given=given: list_checkpoints(
            session, limit=5, before="checkpoint_00150", filters=given
        )
        for given in (
            {},
            {"hidden_dims": "8"},
            {"obs_dim": 5300},
            {"producer": "caliper"},
            {"kind": "uploaded"},
            {"job_id": "job_00007"},
            {"tag": "tag-1"},
            {"tag": "tag-1", "producer": "caliper"},
            {"metric": "test.sharpe"},
            {"metric": "test.sharpe", "metric_min": 10.0, "metric_max": 20.0},
            {"name": "policy"},
            {"name": "policy", "producer": "caliper"},
        )
    },
}
LOOK_UPS: dict[str, Query] = {
    "checkpoints by alias": lambda session: list_checkpoints(session, limit=5, filters={"alias": "alias-1"}),
    "checkpoints by hash": lambda session: list_checkpoints(session, limit=5, filters={"sha256": "0" * 64}),
    "checkpoints by tag and metric": lambda session: list_checkpoints(
        session, limit=5, filters={"tag": "tag-1", "metric": "test.sharpe"}
    ),
    "jobs by metric and dataset": lambda session: list_jobs(
        session, limit=5, metric="test.sharpe", dataset_id="dataset_1"
    ),
    "jobs by a rare name": lambda session: list_jobs(session, limit=5, name="nobody"),
    "checkpoints by a rare name": lambda session: list_checkpoints(
        session, limit=5, filters={"name": "nobody"}
    ),
    "the next job": lambda session: claim_next(session, Seat("worker", ("caliper.cpu",), 0), 60),
    "a queue's line": lambda session: line_of(session, "caliper.cpu"),
    "expired leases": expired_leases,
    "passed deadlines": lambda session: overdue_attempts(session, 60),
    "a job": lambda session: get_job(session, "job_00007"),
    "a job's attempts": lambda session: list_attempts(session, "job_00007"),
    "a job's events": lambda session: events_after(session, "job_00007", 0, 9),
    "a job's metrics": lambda session: list_metrics(session, "job_00007", names=None, after_step=-1, limit=9),
    "a job's curves": lambda session: list_metrics(
        session, "job_00007", names=["loss"], after_step=-1, limit=9, spread=2
    ),
    "a checkpoint": lambda session: find_checkpoint(session, "checkpoint_00007"),
    "a checkpoint by alias": lambda session: find_checkpoint(session, "alias-1"),
    "a twin": lambda session: find_twin(session, "policy", "0" * 64),
    "labels": lambda session: labels_of(session, ["checkpoint_00007"]),
    "a diff's origins": lambda session: origin_of(session, find_checkpoint(session, "checkpoint_00007")),
    "jobs to tidy": lambda session: jobs_to_tidy(session, Tidied.POINTS, utc_now(), 9),
    "who names a file": lambda session: named_files(session, ["0" * 64]),
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A few hundred rows in every big table, counted by the planner; the tests only look."""
    url = f"sqlite:///{tmp_path_factory.mktemp('plans')}/registry.db"
    if request.param == "postgresql":
        server = str(request.getfixturevalue("postgresql_url"))
        admin = Database(server)
        admin.run_alone("CREATE DATABASE plans")
        admin.close()
        url = server.replace("/postgres?", "/plans?")
    migrate(url)
    database = Database(url)
    fill(database)
    yield database
    database.close()


def fill(database: Database) -> None:
    with database.write() as session:
        session.add_all(make_dataset(id=f"dataset_{n}") for n in range(3))
        session.flush()
        dataset = make_dataset(id="dataset_1")
        states = ("succeeded", "failed", "running", "queued")
        session.add_all(make_job(dataset, id=f"job_{n:05}", state=states[n % 4]) for n in range(ROWS))
        session.flush()
        for n in range(ROWS):
            job_id = f"job_{n:05}"
            session.add(JobDataset(job_id=job_id, position=0, dataset_id=f"dataset_{n % 3}"))
            add_job_metrics(session, job_id, {"test": {"sharpe": n / 10}})
            session.add_all(Metric(job_id=job_id, name="loss", step=step, value=0.5) for step in range(3))
            checkpoint_id = f"checkpoint_{n:05}"
            parent_id = f"checkpoint_{n - 1:05}" if n % 10 else None
            facts = {"job_id": job_id, "parent_id": parent_id, "metrics": {"test": {"sharpe": n / 10}}}
            add_checkpoint(session, make_checkpoint(id=checkpoint_id, sha256=f"{n:064}", **facts))
            set_tags(session, checkpoint_id, [f"tag-{n % 3}"])
            set_aliases(session, checkpoint_id, [f"alias-{n}"])
    database.run_alone("ANALYZE" if database.is_sqlite else "VACUUM ANALYZE")


@contextmanager
def noted(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """The statements, with their values, that are run meanwhile."""
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            statements.append((statement, values))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def explain(database: Database, query: Query) -> list[str]:
    """The lines of the plans of all statements that the query runs."""
    with database.read() as session, noted(database) as statements:
        query(session)
    assert statements
    lines: list[str] = []
    with database.engine.connect() as connection:
        if not database.is_sqlite:  # 300 rows are read faster than an index; 100,000 are not
            for way in ("seqscan", "bitmapscan", "sort", "incremental_sort", "hashjoin", "mergejoin"):
                connection.execute(text(f"SET enable_{way} = off"))
        prefix = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
        for statement, values in statements:
            found = connection.exec_driver_sql(prefix + statement, values)
            lines += [str(row[-1]) for row in found]
    return lines


def scans(line: str) -> bool:
    """Whether a line of a plan reads a whole big table, row by row."""
    named = [table for table in BIG if table in line.replace(",", " ").split()]
    whole = "Seq Scan" in line or (line.startswith("SCAN ") and " USING " not in line)
    return bool(named) and whole


def sorts(line: str) -> bool:
    """Whether a line of a plan puts rows in order that an index did not give in order."""
    return "TEMP B-TREE FOR ORDER BY" in line or line.replace("->", "").strip().startswith("Sort")


@pytest.mark.parametrize("name", LISTS | LOOK_UPS)
def test_no_query_reads_a_whole_big_table(full: Database, name: str) -> None:
    plan = explain(full, (LISTS | LOOK_UPS)[name])
    assert [line for line in plan if scans(line)] == [], plan


@pytest.mark.parametrize("name", LISTS)
def test_every_list_comes_in_the_order_of_its_index(full: Database, name: str) -> None:
    plan = explain(full, LISTS[name])
    assert [line for line in plan if sorts(line)] == [], plan


@pytest.mark.parametrize("name", ["jobs by a rare name", "checkpoints by a rare name"])
def test_a_search_for_a_part_of_a_name_reads_names_and_no_rows(full: Database, name: str) -> None:
    plan = explain(full, LOOK_UPS[name])
    alone = "USING COVERING INDEX" if full.is_sqlite else "Index Only Scan"
    assert any(alone in line and "name" in line for line in plan), plan


def test_a_plan_without_an_index_is_recognised(full: Database) -> None:
    plan = explain(
        full, lambda session: session.scalars(text("SELECT * FROM jobs ORDER BY predicted_bytes")).all()
    )
    assert any(scans(line) for line in plan), plan
    assert any(sorts(line) for line in plan), plan


def test_a_joined_list_shows_each_row_once(full: Database) -> None:
    with full.read() as session:
        jobs = [job.id for job in list_jobs(session, limit=999, dataset_id="dataset_1")]
        given = {"tag": "tag-1", "metric": "test.sharpe", "metric_min": 5.0}
        found = [row.id for row in list_checkpoints(session, limit=999, filters=given)]
    assert jobs == [f"job_{n:05}" for n in range(ROWS - 1, -1, -1) if n % 3 == 1]
    assert found == [f"checkpoint_{n:05}" for n in range(ROWS - 1, 49, -1) if n % 3 == 1]


def test_a_line_of_parents_is_one_query(full: Database) -> None:
    with full.read() as session, noted(full) as statements:
        child = find_checkpoint(session, "checkpoint_00009")
        assert ancestors_of(session, child) == tuple(f"checkpoint_{n:05}" for n in range(8, -1, -1))
    assert len(statements) == 2


def test_a_list_reads_no_documents_that_it_does_not_show(full: Database) -> None:
    with full.read() as session, noted(full) as statements:
        assert session.get(Job, "job_00007") is not None
        list_jobs(session, limit=2)
        list_checkpoints(session, limit=2)
    whole, jobs, checkpoints = (statement for statement, _ in statements)
    assert "jobs.spec" in whole
    assert "jobs.spec" not in jobs
    assert "checkpoints.report" not in checkpoints
