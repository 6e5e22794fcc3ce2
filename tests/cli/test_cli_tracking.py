"""`caliper jobs export`, and --tensorboard and --mlflow beside watching."""

import subprocess
import sys
from pathlib import Path

import pytest
from command_line import CommandLine
from fake_service import job, stream
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

AT = "2026-11-23T12:00:01+00:00"
EVENTS = (
    (1, "state", {"state": "running", "at": AT}),
    (2, "progress", {"global_step": 10, "total_timesteps": 10, "entropy": 0.5, "at": AT}),
    (3, "state", {"state": "failed", "at": AT}),
)


@pytest.fixture
def failed_job(caliper: CommandLine) -> CommandLine:
    failed = job("failed", last_event=3, ended_at="2026-11-23T12:00:02Z")
    caliper.answers(**{"GET /jobs/job_1": failed, "GET /jobs/job_1/events": lambda _: stream(*EVENTS)})
    return caliper


def steps(folder: Path) -> list[int]:
    found = EventAccumulator(str(folder / "demo.job_1"))
    found.Reload()
    return [each.step for each in found.Scalars("train/entropy")]


def test_export_says_where_it_is(failed_job: CommandLine, tmp_path: Path) -> None:
    done = failed_job("jobs", "export", "job_1", "--tensorboard", tmp_path)
    assert done.exit_code == 0
    assert f"job_1 (failed) is in TensorBoard's {tmp_path}" in done.stderr
    assert steps(tmp_path) == [10]


def test_export_wants_a_place(failed_job: CommandLine) -> None:
    done = failed_job("jobs", "export", "job_1")
    assert done.exit_code == 1
    assert "no place to export to" in done.stderr


def test_watching_writes_as_it_goes(failed_job: CommandLine, tmp_path: Path) -> None:
    done = failed_job("jobs", "watch", "job_1", "--tensorboard", tmp_path)
    assert done.exit_code == 1  # the job failed
    assert steps(tmp_path) == [10]


def test_a_disk_that_refuses_does_not_end_the_watching(failed_job: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "demo.job_1").write_text("in the way")
    done = failed_job("jobs", "watch", "job_1", "--tensorboard", tmp_path)
    assert f"no longer written to TensorBoard's {tmp_path}" in done.stderr
    assert "100%  step 10" in done.stderr
    assert done.exit_code == 1


def test_nobody_watches_a_detached_job(caliper: CommandLine, tmp_path: Path) -> None:
    costs = "fee_bps=5,half_spread_bps=1,slippage=0.02,borrow_bps_per_year=300"
    command = ["train", "--dataset", "d", "--timesteps", 10, "--costs", costs, "--detach"]
    done = caliper(*command, "--tensorboard", tmp_path)
    assert done.exit_code == 1
    assert "nobody watches a detached job" in done.stderr
    assert caliper.service.asked == []


@pytest.mark.parametrize(
    ("library", "option", "package"),
    [("tensorboard", "--tensorboard", "tensorboard>=2.21"), ("mlflow", "--mlflow", "mlflow-skinny>=3.17")],
)
def test_a_library_that_is_not_installed_is_named(library: str, option: str, package: str) -> None:
    hide = f"import sys; sys.modules[{library!r}] = None; from app.cli import main; main()"
    command = [sys.executable, "-c", hide, "jobs", "export", "job_1", option, "somewhere"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "library is not installed" in done.stderr
    assert f"pip install '{package}'" in done.stderr


@pytest.mark.parametrize("module", ["tensorboard_run", "mlflow_run"])
def test_neither_torch_nor_tensorflow_comes_along(module: str) -> None:
    probe = f"import sys, app.tracking.{module}; print(sorted({{'torch', 'tensorflow'}} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
