"""Lists of jobs by network, tier, name and what was measured, alone and together."""

import pytest
from factories import make_dataset, make_job

from app.registry import names
from app.registry.database import Database, Session
from app.registry.datasets import add_dataset
from app.registry.job_lists import list_jobs
from app.registry.jobs import add_job
from app.registry.measured import add_job_metrics

JOBS = {
    "job_1": {"name": "Monday 50%", "hidden_dims": "8", "obs_dim": 10, "tier": "cpu"},
    "job_2": {"name": "tuesday", "hidden_dims": "8,4", "obs_dim": 10, "tier": "mid"},
    "job_3": {"name": "monday again", "hidden_dims": "8,4", "obs_dim": 20, "tier": "mid"},
}
MEASURED = {
    "job_1": {"test": {"sharpe": 1.5, "return": -2e-05, "note": "1.5 or so"}, "steps": 3},
    "job_3": {"test": {"sharpe": -0.5, "return": None}},
}


@pytest.fixture
def filled(database: Database) -> Database:
    with database.write() as session:
        dataset = add_dataset(session, make_dataset(id="dataset_1"))
        for job_id, values in JOBS.items():
            add_job(session, make_job(dataset, id=job_id, **values))
        for job_id, metrics in MEASURED.items():
            add_job_metrics(session, job_id, metrics)
    return database


def numbers_of(session: Session, **filters: str | float) -> list[int]:
    return [int(job.id[-1]) for job in list_jobs(session, limit=9, **filters)]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [3, 2, 1]),
        ({"hidden_dims": "8,4"}, [3, 2]),
        ({"hidden_dims": "4,8"}, []),
        ({"obs_dim": 10}, [2, 1]),
        ({"tier": "mid", "obs_dim": 10}, [2]),
        ({"dataset_id": "dataset_1", "hidden_dims": "8"}, [1]),
        ({"name": "MONDAY"}, [3, 1]),
        ({"name": "day"}, [3, 2, 1]),
        ({"name": "0%"}, [1]),
        ({"name": "%"}, [1]),
        ({"name": "_"}, []),
        ({"name": "/"}, []),
        ({"name": "day", "tier": "mid"}, [3, 2]),
        ({"name": "monday", "metric": "test.sharpe", "metric_min": 0.0}, [1]),
        ({"metric": "test.sharpe"}, [3, 1]),
        ({"metric": "test.sharpe", "metric_max": 0.0}, [3]),
        ({"metric": "test.sharpe", "metric_min": 1.5, "metric_max": 1.5}, [1]),
        ({"metric": "test.sharpe", "dataset_id": "dataset_1", "obs_dim": 20}, [3]),
        ({"metric": "test.return"}, [1]),
        ({"metric": "steps", "metric_min": 3.5}, []),
        ({"metric": "test.note"}, []),
    ],
    ids=str,
)
@pytest.mark.parametrize("few", [1, 500])
def test_jobs_are_filtered(
    filled: Database,
    monkeypatch: pytest.MonkeyPatch,
    filters: dict[str, str | float],
    expected: list[int],
    few: int,
) -> None:
    """Also where a part of a name is so frequent that it is looked for row by row."""
    monkeypatch.setattr(names, "FEW", few)
    with filled.read() as session:
        assert numbers_of(session, **filters) == expected


@pytest.mark.parametrize("few", [1, 500])
def test_pages_of_a_name_go_on_where_the_last_ended(
    filled: Database, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(names, "FEW", few)
    with filled.read() as session:
        assert [job.id for job in list_jobs(session, limit=1, name="monday")] == ["job_3"]
        assert [job.id for job in list_jobs(session, limit=1, name="monday", before="job_3")] == ["job_1"]
        assert list_jobs(session, limit=1, name="monday", before="job_1") == []
