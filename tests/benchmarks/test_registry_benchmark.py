"""A small registry is filled by the same rules, whole and the same each time, and every query is answered."""

import random
from pathlib import Path
from typing import Any

import pytest
from factories import make_checkpoint, make_dataset, make_job
from running_service import running
from sqlalchemy import func, select

from app.registry.database import Database
from app.registry.tables import Base, Checkpoint, CheckpointMetric, utc_now
from app.settings import Settings
from benchmarks import registry_stores
from benchmarks.registry import report
from benchmarks.registry_ask import Answer, caliper_questions, percentile
from benchmarks.registry_rows import Maker, Size, fill
from benchmarks.registry_stores import Shelf, disk_bytes, opened
from benchmarks.registry_template import Template, columns_of
from benchmarks.registry_upkeep import use_up

SIZE = Size(jobs=60, points=2_000, checkpoints=60)


def small_template(database: Database) -> Template:
    """Rows of the tests' own, as the registry gives them back."""
    with database.write() as session:
        dataset = make_dataset()
        session.add(dataset)
        session.flush()
        job = make_job(dataset, result={"steps": 1})
        session.add(job)
        session.flush()
        row = make_checkpoint(job_id=job.id, created_at=utc_now())
        session.add(row)
        session.flush()
        template = Template(columns_of(dataset), columns_of(job), columns_of(row))
        for each in (row, job, dataset):
            session.delete(each)
            session.flush()
    return template


def test_the_rows_are_as_many_as_asked_for(database: Database) -> None:
    written = fill(database.engine, small_template(database), SIZE)
    with database.read() as session:
        for name, count in written.items():
            table = Base.metadata.tables[name]
            assert session.execute(select(func.count()).select_from(table)).scalar_one() == count, name
        live = select(func.count()).where(Checkpoint.deleted_at.is_(None))
        numbers = session.execute(select(func.count()).select_from(CheckpointMetric)).scalar_one()
        assert numbers == 6 * session.execute(live).scalar_one()
    assert (written["jobs"], written["metrics"], written["checkpoints"]) == (60, 2_000, 70)


def test_the_same_seed_makes_the_same_rows(registry: Database) -> None:
    template = small_template(registry)
    rows = [
        {name: list(rows) for name, rows in Maker(template, size).tables()}
        for size in (SIZE, SIZE, Size(60, 2_000, 60, seed=2))
    ]
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]


def test_every_query_is_answered(settings: Settings, registry: Database) -> None:
    fill(registry.engine, small_template(registry), SIZE)
    with running(settings) as service:
        for name, question in caliper_questions(settings.database_url, random.Random(1)).items():
            method, path, given = question()
            answer: Any = service.http.request(method, path, **given)
            expected = 422 if name.startswith("diff") else 200  # the tests' checkpoints have no report
            assert answer.status_code == expected, (name, answer.text)


def test_a_kept_database_is_filled_once_and_copied_for_each_run(
    tmp_path: Path, registry: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    template = small_template(registry)
    monkeypatch.setattr(registry_stores, "make_template", lambda _folder: template)
    shelf = Shelf(tmp_path / "kept", is_kept=True)
    kept = tmp_path / "kept" / "sqlite" / "registry.db"
    for _ in range(2):
        with opened("sqlite", tmp_path, shelf, SIZE) as (url, pid):
            assert (url, pid) == (f"sqlite:///{tmp_path}/registry.db", None)
            assert disk_bytes(url) == kept.stat().st_size
            use_up(url, SIZE)
    told = capsys.readouterr().out
    assert told.count("  filled in") == 1
    assert told.count("  copied in") == 2
    assert "retention: " in told
    assert "migration 0007 in" in told
    with opened("sqlite", tmp_path, shelf, Size(jobs=10, points=100, checkpoints=10)):
        assert "10 jobs" in capsys.readouterr().out


def test_a_percentile_is_a_value_that_was_measured() -> None:
    seconds = [float(n) for n in range(1, 101)]
    assert [percentile(seconds, share) for share in (50, 95, 99)] == [50.0, 95.0, 99.0]
    assert percentile([3.0], 95) == 3.0


def test_a_missed_goal_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    fast, slow = Answer(0.01, 0.005), Answer(0.06, 0.005)
    assert report({"sqlite": {"jobs": [fast]}, "postgresql": {"jobs": [fast]}})
    assert not report({"postgresql": {"jobs": [fast], "job": [slow]}})
    told = capsys.readouterr().out
    assert "postgresql, wall: slowest p95 60.0 ms (job); goal 50 ms: MISSED" in told
    assert "MLflow: not run" in told
