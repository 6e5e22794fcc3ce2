"""What long ended jobs let go of: curves keep evenly chosen points, logs go, results and states stay."""

from datetime import timedelta
from typing import Any

import pytest
from factories import make_dataset, make_job

from app.actions.tidy_registry import TidyCount, compact_registry, tidy_registry
from app.registry.database import Database
from app.registry.events import events_after, record_event
from app.registry.jobs import add_job, get_job, resume
from app.registry.metrics import list_metrics
from app.registry.retention import Tidied, thin_curves
from app.registry.tables import Job, Metric, utc_now
from app.settings import Settings

STEPS = 100
LATER = utc_now() + timedelta(days=91)
MUCH_LATER = utc_now() + timedelta(days=366)


def trained_job(database: Database, **values: Any) -> str:
    """A job with a curve of 100 points, one of 5, 100 progress events and 3 lines of log."""
    with database.write() as session:
        dataset = make_dataset()
        session.add(dataset)
        session.flush()
        job = add_job(session, make_job(dataset, **{"state": "succeeded", "ended_at": utc_now(), **values}))
        session.add_all(Metric(job_id=job.id, name="loss", step=10 * n, value=n) for n in range(1, STEPS + 1))
        session.add_all(Metric(job_id=job.id, name="sharpe", step=200 * n, value=n) for n in range(1, 6))
        for n in range(STEPS):
            record_event(session, job.id, "progress", {"update": n})
        for n in range(3):
            record_event(session, job.id, "log", {"message": f"line {n}"})
        record_event(session, job.id, "state", {"state": "succeeded"})
    return job.id


def tidy(database: Database, settings: Settings, now: Any, **changed: Any) -> TidyCount:
    used = settings.model_copy(update={"kept_points": 11, **changed})
    return tidy_registry(database, used, now=now, turn_seconds=None)


def steps_of(database: Database, job_id: str, name: str) -> list[int]:
    with database.read() as session:
        return [row.step for row in list_metrics(session, job_id, names=[name], after_step=-1, limit=999)]


def kinds_of(database: Database, job_id: str) -> dict[str, int]:
    with database.read() as session:
        kinds = [event.kind for event in events_after(session, job_id, 0, 999)]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def test_a_long_ended_jobs_curves_keep_their_ends_and_even_points_between(
    database: Database, settings: Settings
) -> None:
    job_id = trained_job(database)
    count = tidy(database, settings, LATER)
    # 10 stretches of 99.1 steps from 10 to 1000: the last point of each, and the first of all.
    assert steps_of(database, job_id, "loss") == [10, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]
    assert steps_of(database, job_id, "sharpe") == [200, 400, 600, 800, 1000]
    assert count == TidyCount(jobs=1, points=89, events=89, log_lines=0)
    assert kinds_of(database, job_id) == {"log": 3, "progress": 11, "state": 2}


def test_logs_go_later_and_what_the_state_became_stays(database: Database, settings: Settings) -> None:
    job_id = trained_job(database)
    assert tidy(database, settings, MUCH_LATER).log_lines == 3
    assert kinds_of(database, job_id) == {"progress": 11, "state": 2}
    assert tidy(database, settings, MUCH_LATER) == TidyCount()
    with database.read() as session:
        job = get_job(session, job_id)
        assert job.tidied == Tidied.LOGS
        assert events_after(session, job_id, job.last_event - 1, 9)  # a follower still sees the end


@pytest.mark.parametrize("values", [{"state": "running"}, {"state": "queued", "ended_at": None}])
def test_a_job_that_has_not_ended_loses_nothing(
    database: Database, settings: Settings, values: dict[str, Any]
) -> None:
    job_id = trained_job(database, **values)
    assert tidy(database, settings, MUCH_LATER) == TidyCount()
    assert len(steps_of(database, job_id, "loss")) == STEPS


def test_what_ended_lately_loses_nothing(database: Database, settings: Settings) -> None:
    trained_job(database)
    assert tidy(database, settings, utc_now() + timedelta(days=89)) == TidyCount()


def test_a_job_resumed_after_it_was_tidied_is_tidied_again(database: Database, settings: Settings) -> None:
    job_id = trained_job(database, state="failed")
    tidy(database, settings, LATER)
    with database.write() as session:
        assert resume(session, job_id).tidied == Tidied.NOTHING


def test_no_transaction_deletes_more_than_its_limit(database: Database) -> None:
    job_id = trained_job(database)
    deleted = []
    while True:
        with database.write() as session:
            deleted.append(thin_curves(session, job_id, 11, 40))
        if not deleted[-1]:
            break
    assert deleted == [40, 40, 9, 0]
    assert len(steps_of(database, job_id, "loss")) == 11


def test_thinning_what_is_thin_changes_nothing(database: Database, settings: Settings) -> None:
    job_id = trained_job(database)
    tidy(database, settings, LATER)
    kept = steps_of(database, job_id, "loss")
    with database.write() as session:
        session.get_one(Job, job_id).tidied = Tidied.NOTHING
    assert tidy(database, settings, LATER).points == 0
    assert steps_of(database, job_id, "loss") == kept


def test_a_turn_ends_in_time_and_the_next_goes_on(database: Database, settings: Settings) -> None:
    trained_job(database)
    assert tidy_registry(database, settings, now=MUCH_LATER, turn_seconds=-1.0) == TidyCount()
    assert tidy(database, settings, LATER).jobs == 1


def test_vacuum_runs_on_both_databases(database: Database, settings: Settings) -> None:
    job_id = trained_job(database)
    tidy(database, settings, LATER)
    compact_registry(database)
    assert len(steps_of(database, job_id, "loss")) == 11


def test_logs_that_would_go_before_the_points_are_refused(settings: Settings) -> None:
    with pytest.raises(ValueError, match="at least keep_points_days"):
        Settings(keep_points_days=10, keep_logs_days=5)
