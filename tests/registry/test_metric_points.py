"""Points of a run: one statement a step, the last measurement of a step counts, what is no number is no point."""

import math

from factories import make_dataset, make_job

from app.registry.attempts import Hold, claim_job
from app.registry.database import Database
from app.registry.jobs import add_job
from app.registry.metrics import list_metrics, record_progress


def running_job(database: Database) -> Hold:
    with database.write() as session:
        dataset = make_dataset()
        session.add(dataset)
        session.flush()
        job_id = add_job(session, make_job(dataset)).id
    with database.write() as session:
        claim = claim_job(session, job_id, "w", 600)
        assert claim
        return claim.hold


def points(database: Database, hold: Hold) -> dict[tuple[int, str], float]:
    with database.read() as session:
        rows = list_metrics(session, hold.job_id, names=None, after_step=-1, limit=100)
        return {(row.step, row.name): row.value for row in rows}


def test_a_step_that_is_measured_again_keeps_its_last_values(database: Database) -> None:
    hold = running_job(database)
    for values in ({"a": 1.0, "b": 2.0}, {"b": 3.0, "c": 4.0}):
        with database.write() as session:
            assert record_progress(session, hold, 128, values)
    with database.write() as session:
        assert record_progress(session, hold, 256, {"a": 5.0})
    assert points(database, hold) == {(128, "a"): 1.0, (128, "b"): 3.0, (128, "c"): 4.0, (256, "a"): 5.0}


def test_what_is_no_finite_number_makes_no_point(database: Database) -> None:
    hold = running_job(database)
    with database.write() as session:
        values = {"nan": math.nan, "infinite": math.inf, "count": 3, "text": "x"}
        assert record_progress(session, hold, 1, values)
        assert record_progress(session, hold, 2, {})
    assert points(database, hold) == {}


def test_a_stale_holder_writes_no_point(database: Database) -> None:
    hold = running_job(database)
    with database.write() as session:
        assert not record_progress(session, Hold(hold.job_id, hold.fence - 1), 1, {"a": 1.0})
    assert points(database, hold) == {}
