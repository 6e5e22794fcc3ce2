"""Finding, filtering, labelling and deleting checkpoints."""

import pytest
from factories import make_checkpoint, make_dataset, make_job

from app.errors import IdempotencyMismatch, NotFound
from app.registry import idempotency
from app.registry.attempts import Hold, claim_job
from app.registry.checkpoint_lists import list_checkpoints
from app.registry.checkpoints import (
    add_checkpoint,
    delete_checkpoint,
    find_checkpoint,
    labels_of,
    point_job_at,
    set_aliases,
    set_tags,
)
from app.registry.database import Database
from app.registry.datasets import add_dataset, delete_dataset, find_dataset, find_twin, list_datasets
from app.registry.jobs import add_job, get_job


def test_an_alias_moves_and_finds(database: Database) -> None:
    with database.write() as session:
        for name in ("checkpoint_1", "checkpoint_2"):
            add_checkpoint(session, make_checkpoint(id=name))
        set_aliases(session, "checkpoint_1", ["live", "best"])
        set_aliases(session, "checkpoint_2", ["live"])
    with database.read() as session:
        assert find_checkpoint(session, "live").id == "checkpoint_2"
        assert find_checkpoint(session, "best").id == "checkpoint_1"
        assert labels_of(session, ["checkpoint_1", "checkpoint_2"]) == (
            {},
            {"checkpoint_1": ["best"], "checkpoint_2": ["live"]},
        )


def test_lists_filter_by_every_column_and_by_tag(database: Database) -> None:
    with database.write() as session:
        add_checkpoint(session, make_checkpoint(id="checkpoint_1", hidden_dims="512,256", producer="sb3"))
        add_checkpoint(session, make_checkpoint(id="checkpoint_2", obs_dim=4))
        set_tags(session, "checkpoint_2", ["b", "a", "a"])
    with database.read() as session:
        for filters, expected in [
            ({"hidden_dims": "512,256"}, ["checkpoint_1"]),
            ({"obs_dim": 4}, ["checkpoint_2"]),
            ({"producer": "sb3", "obs_dim": 4}, []),
            ({"tag": "a"}, ["checkpoint_2"]),
            ({}, ["checkpoint_2", "checkpoint_1"]),
        ]:
            assert [c.id for c in list_checkpoints(session, limit=9, filters=filters)] == expected
        assert [c.id for c in list_checkpoints(session, limit=1, before="checkpoint_2")] == ["checkpoint_1"]
        assert labels_of(session, ["checkpoint_2"])[0] == {"checkpoint_2": ["a", "b"]}


def test_lists_filter_by_alias_by_a_part_of_the_name_and_by_what_was_measured(database: Database) -> None:
    measured = {"test": {"sharpe": 1.5, "return": -2e-05, "note": "1.5 or so"}, "steps": 3}
    with database.write() as session:
        add_checkpoint(session, make_checkpoint(id="checkpoint_1", name="Monday 50%", metrics=measured))
        add_checkpoint(session, make_checkpoint(id="checkpoint_2", name="tuesday", metrics={"test": None}))
        add_checkpoint(
            session, make_checkpoint(id="checkpoint_3", name="x", metrics={"test": {"sharpe": -0.5}})
        )
        set_aliases(session, "checkpoint_2", ["live"])
    one, three = ["checkpoint_1"], ["checkpoint_3"]
    with database.read() as session:
        for filters, expected in [
            ({"alias": "live"}, ["checkpoint_2"]),
            ({"alias": "gone"}, []),
            ({"name": "MONDAY"}, one),
            ({"name": "0%"}, one),
            ({"name": "%"}, one),
            ({"name": "_"}, []),
            ({"metric": "test.sharpe"}, three + one),
            ({"metric": "test.sharpe", "metric_min": 0.0}, one),
            ({"metric": "test.sharpe", "metric_min": 1.5, "metric_max": 1.5}, one),
            ({"metric": "test.sharpe", "metric_max": 0.0}, three),
            ({"metric": "test.sharpe", "metric_min": 1.6}, []),
            ({"metric": "test.return", "metric_max": 0.0}, one),
            ({"metric": "steps", "metric_min": 3.0}, one),
            ({"metric": "test.note"}, []),
            ({"metric": "test"}, []),
            ({"metric": "test.sharpe", "metric_min": -1.0, "name": "mon"}, one),
        ]:
            found = [each.id for each in list_checkpoints(session, limit=9, filters=filters)]
            assert found == expected, filters


def test_deleting_frees_the_alias_and_says_whether_the_bytes_may_go(database: Database) -> None:
    with database.write() as session:
        for name in ("checkpoint_1", "checkpoint_2"):
            add_checkpoint(session, make_checkpoint(id=name, sha256="d" * 64))
        set_aliases(session, "checkpoint_1", ["live"])
        assert not delete_checkpoint(session, find_checkpoint(session, "checkpoint_1"))
        assert delete_checkpoint(session, find_checkpoint(session, "checkpoint_2"))
    with database.read() as session:
        with pytest.raises(NotFound, match="was deleted"):
            find_checkpoint(session, "checkpoint_1")
        with pytest.raises(NotFound, match="no checkpoint 'live'"):
            find_checkpoint(session, "live")


def test_only_the_holder_moves_the_point_of_resume(database: Database) -> None:
    with database.write() as session:
        job = add_job(session, make_job(add_dataset(session, make_dataset())))
        checkpoint = add_checkpoint(session, make_checkpoint(job_id=job.id))
        taken = claim_job(session, job.id, "worker", 60)
        assert taken is not None
        assert not point_job_at(session, Hold(job.id, taken.hold.fence - 1), checkpoint.id)
        assert point_job_at(session, taken.hold, checkpoint.id)
    with database.read() as session:
        assert get_job(session, job.id).resume_from == checkpoint.id


def test_a_dataset_is_found_by_id_and_by_its_newest_name(database: Database) -> None:
    with database.write() as session:
        add_dataset(session, make_dataset(id="dataset_1"))
        add_dataset(session, make_dataset(id="dataset_2"))
    with database.write() as session:
        assert find_dataset(session, "googl").id == "dataset_2"
        assert find_twin(session, "googl", "a" * 64) is not None
        assert find_twin(session, "other", "a" * 64) is None
        delete_dataset(session, "dataset_2")
        assert find_dataset(session, "googl").id == "dataset_1"
        assert [d.id for d in list_datasets(session, limit=9)] == ["dataset_1"]
        delete_dataset(session, "dataset_1")
        with pytest.raises(NotFound, match="was deleted"):
            find_dataset(session, "googl")
        with pytest.raises(NotFound, match="no dataset"):
            find_dataset(session, "never")


def test_a_key_recalls_what_it_made_and_refuses_another_body(database: Database) -> None:
    with database.write() as session:
        assert idempotency.recall(session, "jobs", "k", "1" * 64) is None
        assert idempotency.bind(session, "jobs", "k", "1" * 64, "job_1") == "job_1"
        assert idempotency.bind(session, "jobs", "k", "1" * 64, "job_2") == "job_1"
    with database.read() as session:
        assert idempotency.recall(session, "jobs", "k", "1" * 64) == "job_1"
        assert idempotency.recall(session, "checkpoints", "k", "1" * 64) is None
        with pytest.raises(IdempotencyMismatch, match="another body"):
            idempotency.recall(session, "jobs", "k", "2" * 64)
