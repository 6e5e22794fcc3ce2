"""A job as an MLflow run, read back by MLflow's own client; local stores stand for a server."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.client import Client
from app.errors import Unavailable
from app.tracking import snapshot_job
from app.tracking.facts import list_scores
from tests.tracking.conftest import COMMIT, PICTURE


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of plain files: it needs no migrations, and keeps whatever it is told twice, twice."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return (tmp_path / "mlruns").as_uri()


def open_run(uri: str) -> Any:
    from app.tracking.mlflow_run import MlflowRun

    return MlflowRun(uri, "googl")


def find_runs(uri: str) -> tuple[Any, list[Any]]:
    from mlflow.tracking import MlflowClient

    mlflow = MlflowClient(tracking_uri=uri)
    return mlflow, list(mlflow.search_runs([mlflow.get_experiment_by_name("googl").experiment_id]))


def history(mlflow: Any, run: Any, name: str) -> list[tuple[int, float]]:
    return [(each.step, each.value) for each in mlflow.get_metric_history(run.info.run_id, name)]


def test_a_job_is_a_run_and_again_the_same_run(client: Client, ended_job: str, uri: str) -> None:
    for _ in range(2):
        job = snapshot_job(client, ended_job, [open_run(uri)])
    mlflow, (run,) = find_runs(uri)
    assert (run.info.run_name, run.info.status) == ("a run", "FINISHED")
    assert run.info.start_time < run.info.end_time
    assert run.data.params["ppo.gamma"] == str(job["config"]["ppo"]["gamma"])
    assert run.data.params["datasets.0.sha256"] == run.data.tags["caliper.dataset_sha256"]
    assert run.data.tags["caliper.job_id"] == ended_job
    assert run.data.tags["caliper.state"] == "succeeded"
    assert run.data.tags["mlflow.source.git.commit"] == run.data.tags["caliper.commit"] == COMMIT
    # Step 256 was measured twice, before the crash and after: MLflow cannot take the first one back.
    kept = history(mlflow, run, "train/entropy")
    assert kept == [(128, 1.0), (256, 0.75), (256, 0.7), (384, 0.5), (512, 0.25)]
    times = [each.timestamp % 60_000 for each in mlflow.get_metric_history(run.info.run_id, "train/entropy")]
    assert times == [2_000, 3_000, 5_000, 6_000, 8_000]
    scores = list_scores(client.evaluation(ended_job))
    assert scores.items() <= run.data.metrics.items()
    assert history(mlflow, run, "evaluation/test/policy/sharpe") == [
        (512, scores["evaluation/test/policy/sharpe"])
    ]


def test_its_evaluation_is_among_the_artifacts(
    client: Client, ended_job: str, uri: str, tmp_path: Path
) -> None:
    snapshot_job(client, ended_job, [open_run(uri)])
    mlflow, (run,) = find_runs(uri)
    folder = Path(mlflow.download_artifacts(run.info.run_id, "", str(tmp_path)))
    assert json.loads((folder / "evaluation.json").read_text()) == client.evaluation(ended_job)
    assert (folder / "evaluation.html").read_text() == client.evaluation_page(ended_job)
    assert (folder / "evaluation.png").read_bytes() == PICTURE
    assert json.loads((folder / "job.json").read_text())["id"] == ended_job


def test_a_job_that_runs_is_brought_up_to_date_later(
    client: Client, running_job: str, fail_job: Callable[[], None], uri: str
) -> None:
    snapshot_job(client, running_job, [open_run(uri)])
    mlflow, (run,) = find_runs(uri)
    assert (run.info.status, run.info.end_time) == ("RUNNING", None)
    fail_job()
    snapshot_job(client, running_job, [open_run(uri)])
    _, (again,) = find_runs(uri)
    assert (again.info.run_id, again.info.status) == (run.info.run_id, "FAILED")
    assert [step for step, _ in history(mlflow, again, "train/entropy")] == [128, 256]


def test_a_store_that_refuses_is_an_error_in_words(
    client: Client, ended_job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    with pytest.raises(Unavailable, match=r"MLflow's file:.*maintenance mode") as refusal:
        snapshot_job(client, ended_job, [open_run((tmp_path / "mlruns").as_uri())])
    assert "sqlite:///mlflow.db" in refusal.value.hint


def test_a_password_in_the_address_is_not_told() -> None:
    assert (
        open_run("http://me:secret@127.0.0.1:9").place
        == "MLflow's http://me:***@127.0.0.1:9, experiment googl"
    )
