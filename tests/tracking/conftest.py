"""A played service with jobs as the API answers them: one that was resumed and ended well, one that runs."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fake_service import FakeService, job, stream

from app.client import Client
from tests.market.evaluating import make_evaluation

PICTURE = b"\x89PNG\r\n\x1a\n not much of a picture"
PAGE = "<!doctype html><title>a report</title>"
EVALUATION = make_evaluation()
REPORT = {
    "job_id": "job_1",
    "job_name": "a run",
    "assets": [
        {"dataset_id": "dataset_1", "dataset_name": "googl", "evaluation": EVALUATION.plain()},
    ],
}
CONFIG = {
    "tier": "cpu",
    "ppo": {"gamma": 0.99, "seed": 1, "hidden_dims": [8], "norm_obs": False},
    "environment": {"costs": {"fee_bps": 5.0}},
    "datasets": [{"id": "dataset_1", "sha256": "ab12"}],
}
COMMIT = "33cc768e" + "0" * 32
ATTEMPTS = [{"number": 1, "versions": {"commit": "f" * 40}}, {"number": 2, "versions": {"commit": COMMIT}}]
"""The last attempt's commit is the one that trained what there is."""
CHECKPOINT = {"id": "checkpoint_1", "sha256": "cd34", "versions": {"caliper": "0.1.0", "torch": "2.13.0"}}


def at(second: int) -> str:
    return f"2026-11-23T12:00:{second:02}+00:00"


def progress(number: int, step: int, entropy: float) -> tuple[int, str, dict[str, Any]]:
    values = {"entropy": entropy, "steps_per_second": 1000.0, "explained_variance": None, "update": step}
    return number, "progress", {"attempt": 1, "at": at(number), "global_step": step, **values}


RUNNING = (
    (1, "state", {"state": "running", "at": at(1)}),
    progress(2, 128, 1.0),
    progress(3, 256, 0.75),
)
"""Two points, and no end."""

RESUMED = (
    *RUNNING,
    (4, "state", {"state": "queued", "at": at(4), "reason": "the card fell out"}),
    progress(5, 256, 0.7),
    progress(6, 384, 0.5),
    (7, "checkpoint", {"id": "checkpoint_1", "step": 384, "at": at(7)}),
    progress(8, 512, 0.25),
    (9, "state", {"state": "succeeded", "at": at(9)}),
)
"""A crash after step 256, gone on with from 128, and a good end."""

KEPT = [(128, 1.0), (256, 0.7), (384, 0.5), (512, 0.25)]
"""The entropy that holds of it."""


def answer(state: str, last_event: int, **values: Any) -> dict[str, Any]:
    about = {
        "name": "a run",
        "dataset_ids": ["dataset_1"],
        "config": CONFIG,
        "checkpoints": [CHECKPOINT],
        "attempts": ATTEMPTS,
    }
    return job(state, last_event, **{**about, "started_at": "2026-11-23T12:00:01Z", **values})


@pytest.fixture
def service() -> FakeService:
    ended = answer("succeeded", 9, ended_at="2026-11-23T12:00:09Z")
    return FakeService(
        {
            "GET /jobs/job_1": ended,
            "GET /jobs/job_1/events": lambda _: stream(*RESUMED),
            "GET /jobs/job_1/evaluation": REPORT,
            "GET /jobs/job_1/evaluation.html": httpx.Response(200, text=PAGE),
            "GET /jobs/job_1/evaluation.png": httpx.Response(200, content=PICTURE),
        }
    )


@pytest.fixture
def client(service: FakeService) -> Iterator[Client]:
    with service.client(retries=0) as found:
        yield found


@pytest.fixture
def ended_job() -> str:
    """The job that was resumed and ended well."""
    return "job_1"


@pytest.fixture
def running_job(service: FakeService) -> str:
    """A job that has measured at steps 128 and 256 and goes on; its stream ends when the service restarts."""
    service.answers["GET /jobs/job_1"] = answer("running", 3)
    service.answers["GET /jobs/job_1/events"] = lambda _: stream(*RUNNING)
    return "job_1"


@pytest.fixture
def fail_job(service: FakeService, running_job: str) -> Callable[[], None]:
    """Lets the running job fail."""

    def fail() -> None:
        service.answers["GET /jobs/job_1"] = answer("failed", 4, ended_at="2026-11-23T12:00:04Z")
        end = (4, "state", {"state": "failed", "at": at(4)})
        service.answers["GET /jobs/job_1/events"] = lambda _: stream(*RUNNING, end)

    return fail
