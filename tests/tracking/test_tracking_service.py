"""`caliper jobs export` against a real service and the real libraries, in processes of their own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import job_rows
import pytest
from running_service import Service, running
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from app.registry.database import Database
from app.registry.metrics import forget_metrics_after
from app.settings import Settings

READ = """
import json, sys
from mlflow.tracking import MlflowClient
client = MlflowClient(tracking_uri=sys.argv[1])
runs = client.search_runs([client.get_experiment_by_name("googl").experiment_id])
steps = [each.step for each in client.get_metric_history(runs[0].info.run_id, "train/entropy")]
print(json.dumps({"runs": len(runs), "steps": steps, "status": runs[0].info.status}))
"""


@pytest.fixture
def real_service(settings: Settings, registry: Database) -> Iterator[Service]:
    with running(settings) as started:
        yield started


@pytest.fixture
def failed_job(real_service: Service, registry: Database) -> str:
    """A job that crashed after step 256, was resumed from 128, and failed at 384."""
    job_rows.upload_googl(real_service)
    job_id: str = job_rows.submit(real_service, name="a run")["id"]
    job_rows.crash(registry, job_rows.run(registry, job_id, 128, 256), "the card fell out")
    with registry.write() as session:
        forget_metrics_after(session, job_id, 128)
    job_rows.fail(registry, job_rows.run(registry, job_id, 256, 384), "NaN")
    return job_id


def export(service: Service, job_id: str, folder: Path, *options: str) -> None:
    command = [Path(sys.executable).with_name("caliper"), "jobs", "export", job_id, "--url", service.url]
    done = subprocess.run(
        [*command, *options], cwd=folder, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr


def test_tensorboard_shows_what_the_metrics_say(
    real_service: Service, failed_job: str, tmp_path: Path
) -> None:
    export(real_service, failed_job, tmp_path, "--tensorboard", "runs")
    found = EventAccumulator(str(tmp_path / "runs" / f"a_run.{failed_job}"))
    found.Reload()
    measured: dict[str, list[object]] = {}
    for point in real_service.get(f"/jobs/{failed_job}/metrics").json()["points"]:
        value = pytest.approx(point["value"], rel=1e-6)
        measured.setdefault(point["name"], []).append((point["step"], value))
    assert [step for step, _ in measured["entropy"]] == [128, 256, 384]  # type: ignore[misc]
    for name, points in measured.items():
        assert [(each.step, each.value) for each in found.Scalars(f"train/{name}")] == points


@pytest.mark.slow
def test_mlflow_keeps_one_run_in_a_database(real_service: Service, failed_job: str, tmp_path: Path) -> None:
    """A SQLite store, which MLflow migrates first."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    for _ in range(2):
        export(real_service, failed_job, tmp_path, "--mlflow", uri, "--experiment", "googl")
    command = [sys.executable, "-c", READ, uri]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    assert json.loads(found.stdout) == {"runs": 1, "steps": [128, 256, 256, 384], "status": "FAILED"}
