"""Adding, listing, cancelling and resuming jobs."""

import pytest
from factories import make_checkpoint, make_dataset, make_job

from app.errors import Conflict, IllegalMove, NotFound
from app.jobs.lifecycle import Outcome
from app.registry.attempts import claim_job, fail_job, finish_job, stop_job
from app.registry.checkpoints import add_checkpoint, delete_checkpoint, find_checkpoint, point_job_at
from app.registry.database import Database
from app.registry.datasets import add_dataset, delete_dataset
from app.registry.events import events_after
from app.registry.job_lists import list_jobs
from app.registry.jobs import add_job, cancel, get_job, resume
from app.registry.metrics import forget_metrics_after, list_metrics, record_progress
from app.registry.outbox import next_messages
from app.registry.tables import Dataset


@pytest.fixture
def dataset(database: Database) -> Dataset:
    with database.write() as session:
        return add_dataset(session, make_dataset())


def add(database: Database, dataset: Dataset, **values: object) -> str:
    with database.write() as session:
        return add_job(session, make_job(dataset, **values)).id


def test_a_new_job_has_its_event_and_its_wake_up(database: Database, dataset: Dataset) -> None:
    job_id = add(database, dataset)
    with database.read() as session:
        assert [e.data for e in events_after(session, job_id, 0, 9)] == [{"state": "queued"}]
        assert [m.job_id for m in next_messages(session, 9)] == [job_id]


def test_an_unknown_job_is_not_found(database: Database) -> None:
    with database.read() as session, pytest.raises(NotFound, match="no job 'nope'"):
        get_job(session, "nope")


def test_pages_walk_newest_first_without_overlap(database: Database, dataset: Dataset) -> None:
    ids = [add(database, dataset, id=f"job_{i}") for i in range(5)]
    seen: list[str] = []
    before = None
    with database.read() as session:
        while page := list_jobs(session, limit=2, before=before):
            seen += [job.id for job in page]
            before = seen[-1]
    assert seen == ids[::-1]


def test_lists_filter_by_state_and_dataset(database: Database, dataset: Dataset) -> None:
    job_id = add(database, dataset)
    add(database, dataset, state="succeeded")
    with database.read() as session:
        assert [j.id for j in list_jobs(session, limit=9, state="queued")] == [job_id]
        assert list_jobs(session, limit=9, dataset_id="other") == []


def test_a_queued_job_is_cancelled_at_once(database: Database, dataset: Dataset) -> None:
    job_id = add(database, dataset)
    with database.write() as session:
        assert cancel(session, job_id).state == "cancelled"
    with database.write() as session:
        assert claim_job(session, job_id, "worker", 60) is None


def test_a_running_job_is_asked_to_stop_and_keeps_running_until_it_did(
    database: Database, dataset: Dataset
) -> None:
    job_id = add(database, dataset)
    with database.write() as session:
        taken = claim_job(session, job_id, "worker", 60)
    assert taken is not None
    for _ in range(2):  # asking twice is asking once
        with database.write() as session:
            job = cancel(session, job_id)
            assert (job.state, job.desired) == ("running", "cancel")
    with database.write() as session:
        assert stop_job(session, taken.hold, "cancelled")
        kinds = [e.kind for e in events_after(session, job_id, 0, 9)]
        assert kinds == ["state", "state", "cancel", "state"]


@pytest.mark.parametrize("end", ["finish", "fail", "withdraw"])
def test_an_ended_job_cannot_be_cancelled(database: Database, dataset: Dataset, end: str) -> None:
    job_id = add(database, dataset)
    with database.write() as session:
        if end == "withdraw":
            cancel(session, job_id)
        else:
            taken = claim_job(session, job_id, "worker", 60)
            assert taken is not None
            ended = (
                finish_job(session, taken.hold, {})
                if end == "finish"
                else fail_job(session, taken.hold, {"code": "x"}, Outcome.FAILED)
            )
            assert ended
    with database.write() as session, pytest.raises(IllegalMove, match="cannot be cancelled"):
        cancel(session, job_id)


def test_a_cancelled_job_resumes_with_a_fresh_count_of_failures(database: Database, dataset: Dataset) -> None:
    job_id = add(database, dataset, failures=2)
    with database.write() as session:
        cancel(session, job_id)
    with database.write() as session:
        job = resume(session, job_id)
        assert (job.state, job.desired, job.failures) == ("queued", "run", 0)
    with database.write() as session:
        assert claim_job(session, job_id, "worker", 60) is not None


@pytest.mark.parametrize("state", ["queued", "running", "succeeded"])
def test_only_an_unsuccessful_end_can_be_resumed(database: Database, dataset: Dataset, state: str) -> None:
    job_id = add(database, dataset, state=state)
    with database.write() as session, pytest.raises(IllegalMove, match=f"is {state}; it cannot be resumed"):
        resume(session, job_id)


def test_a_job_whose_dataset_was_deleted_cannot_resume(database: Database, dataset: Dataset) -> None:
    job_id = add(database, dataset)
    with database.write() as session:
        cancel(session, job_id)
        delete_dataset(session, dataset.id)
    with database.write() as session, pytest.raises(Conflict, match="was deleted"):
        resume(session, job_id)


def test_metrics_keep_finite_values_and_forget_what_a_resume_repeats(
    database: Database, dataset: Dataset
) -> None:
    job_id = add(database, dataset)
    with database.write() as session:
        taken = claim_job(session, job_id, "worker", 60)
        assert taken is not None
        for step in (10, 20, 30):
            record_progress(session, taken.hold, step, {"loss": step / 10, "bad": float("nan"), "step": step})
        record_progress(session, taken.hold, 30, {"loss": 9.0})
        forget_metrics_after(session, job_id, 20)
    with database.read() as session:
        points = list_metrics(session, job_id, names=None, after_step=0, limit=99)
        assert [(p.name, p.step, p.value) for p in points] == [("loss", 10, 1.0), ("loss", 20, 2.0)]
        assert list_metrics(session, job_id, names=["other"], after_step=0, limit=9) == []


def test_a_job_whose_last_checkpoint_is_deleted_falls_back_to_the_one_before(
    database: Database, dataset: Dataset
) -> None:
    job_id = add(database, dataset)
    with database.write() as session:
        taken = claim_job(session, job_id, "worker", 60)
        assert taken is not None
        rows = [
            add_checkpoint(session, make_checkpoint(job_id=job_id, step=step, sha256=str(step) * 64))
            for step in (1, 2)
        ]
        assert point_job_at(session, taken.hold, rows[1].id)
    for left in (rows[0].id, None):
        with database.write() as session:
            delete_checkpoint(session, find_checkpoint(session, get_job(session, job_id).resume_from or ""))
        with database.read() as session:
            assert get_job(session, job_id).resume_from == left
