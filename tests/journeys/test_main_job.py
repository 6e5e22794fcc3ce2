"""The main job over real HTTP, a real queue and a real worker, and what happens when parts of it die."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from factories import GOOGL
from redis import Redis

from app.client import Client
from app.local import LocalStack
from app.settings import Settings
from tests.market.making import make_bars

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("journeys"), pytest.mark.timeout(420)]

SMALL = {
    "dataset": "googl",
    "environment": {
        "costs": {"fee_bps": 5, "half_spread_bps": 1, "slippage": 0.02, "borrow_bps_per_year": 300}
    },
    "hidden_dims": [8],
    "lookback": 5,
    "features": ["ret_1", "rsi_14"],
    "overrides": {"num_envs": 4, "num_steps": 32},
}
LONG = {**SMALL, "total_timesteps": 100_000_000}


@pytest.fixture
def settings(tmp_path: Path, free_port: int) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        port=free_port,
        lease_seconds=5,
        heartbeat_seconds=1,
        sweep_seconds=0.5,
        relay_seconds=0.2,
        checkpoint_every_updates=100,
        default_tier="cpu",
    )


@pytest.fixture
def stack(settings: Settings) -> Iterator[LocalStack]:
    with LocalStack(settings) as stack:
        yield stack


@pytest.fixture
def client(stack: LocalStack) -> Iterator[Client]:
    with Client(stack.url) as client:
        upload(client)
        yield client


def upload(client: Client) -> None:
    declarations = {"calendar": "XNYS", "adjusted": "split", "volume_unit": "shares"}
    client.upload_dataset(GOOGL, name="googl", declarations=declarations)


def until(what: Callable[[], Any], seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.1)
    return found


def in_state(client: Client, job_id: str, state: str) -> Callable[[], Any]:
    return lambda: (job := client.job(job_id))["state"] == state and job


def has_progress(client: Client, job_id: str) -> Callable[[], Any]:
    return lambda: client.job(job_id)["progress"]


def has_checkpoint(client: Client, job_id: str) -> Callable[[], Any]:
    return lambda: list(client.checkpoints(job=job_id))


def processes(*words: str) -> list[psutil.Process]:
    """Descendants of this test whose command line holds all the words."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if all(word in line for word in words):
            found.append(process)
    return found


def test_train_inspect_compare_remember(client: Client, tmp_path: Path) -> None:
    jobs = [client.submit_job({**SMALL, "total_timesteps": 512, "hidden_dims": [width]}) for width in (8, 16)]
    for job in jobs:
        events = list(client.events(job["id"]))
        assert events[-1].ends_job
        assert [event.id for event in events] == list(range(1, len(events) + 1))
        assert client.job(job["id"])["state"] == "succeeded"
    checkpoints = [next(iter(client.checkpoints(job=job["id"]))) for job in jobs]
    for job, checkpoint in zip(jobs, checkpoints, strict=True):
        assert checkpoint["bytes"] == checkpoint["predicted_bytes"] == job["predicted_bytes"]
    file = client.download(checkpoints[0]["id"], tmp_path / "policy.pt")
    assert file.stat().st_size == checkpoints[0]["bytes"]
    assert torch.load(file, weights_only=True)["config"]["hidden_dims"] == [8]
    report = client.inspect_checkpoint(file)
    assert report["architecture"]["hidden_dims"]["value"] == [8]
    assert report["producer"] == "caliper"
    assert report["findings"] == []
    diff = client.diff(checkpoints[0]["id"], checkpoints[1]["id"])
    assert diff["weights_load"] is False
    assert client.diff(checkpoints[0]["id"], checkpoints[0]["id"])["weights_load"] is True
    assert {point["name"] for point in client.metrics(jobs[0]["id"])["points"]} >= {
        "policy_loss",
        "steps_per_second",
    }
    assert client.ready()["status"] == "ready"
    again = client.upload_checkpoint(file, name="copy")
    assert again["sha256"] == checkpoints[0]["sha256"]


def test_two_datasets_make_one_policy_that_is_judged_on_each(client: Client, tmp_path: Path) -> None:
    ids = []
    for seed, name in enumerate(("btc", "eth")):
        bars = make_bars(1_300, seed=seed)
        bars.write(tmp_path / f"{name}.parquet")
        declared = {"calendar": "24x7", "bar_seconds": 3600}
        file = tmp_path / f"{name}.parquet"
        ids.append(client.upload_dataset(file, name=name, declarations=declared)["id"])
    job = client.submit_job({**SMALL, "dataset": None, "datasets": ["btc", "eth"], "total_timesteps": 512})
    assert job["dataset_ids"] == ids
    assert list(client.events(job["id"]))[-1].ends_job
    done = client.job(job["id"])
    assert done["state"] == "succeeded", done["error"]
    assert list(done["result"]["evaluations"]) == ids
    (checkpoint,) = client.checkpoints(job=job["id"])
    assert checkpoint["dataset_ids"] == ids
    assert checkpoint["bytes"] == checkpoint["predicted_bytes"]
    assert [found["id"] for found in client.jobs(dataset="eth")] == [job["id"]]
    assert client.diff(checkpoint["id"], checkpoint["id"])["lineage"]["checks"][3]["same"] is True


def test_a_killed_trainer_and_a_killed_worker_lose_nothing(client: Client) -> None:
    job = client.submit_job({**SMALL, "total_timesteps": 200_000})
    until(has_checkpoint(client, job["id"]))
    for trainer in processes("worker.run", job["id"]):
        trainer.kill()
    until(lambda: client.job(job["id"])["attempt"] >= 2)
    until(has_progress(client, job["id"]))
    for process in processes("celery", "worker.main"):
        process.kill()
    done = until(in_state(client, job["id"], "succeeded"), 240)
    outcomes = [attempt["outcome"] for attempt in done["attempts"]]
    assert outcomes[0] == "crashed"
    assert outcomes[1] in ("worker_lost", "succeeded")
    assert outcomes[-1] == "succeeded"
    finals = [c for c in client.checkpoints(job=job["id"]) if c["kind"] == "final"]
    assert len(finals) == 1


def test_a_killed_and_emptied_redis_loses_no_job(client: Client, settings: Settings) -> None:
    running = client.submit_job(LONG)
    until(has_progress(client, running["id"]))
    waiting = client.submit_job({**SMALL, "total_timesteps": 256})  # behind the running one
    Redis.from_url(settings.redis_client_url).flushall()
    for process in processes("redis-server"):
        process.kill()
    late = client.submit_job({**SMALL, "total_timesteps": 256, "seed": 2})  # accepted while Redis is dead
    assert late["state"] == "queued"
    client.cancel(running["id"])
    until(in_state(client, running["id"], "cancelled"))
    for job in (waiting, late):
        done = until(in_state(client, job["id"], "succeeded"), 150)
        assert len(done["attempts"]) == 1


def test_cancel_keeps_the_last_checkpoint_and_resume_goes_on_from_it(client: Client) -> None:
    job = client.submit_job(LONG)
    until(has_progress(client, job["id"]))
    client.cancel(job["id"])
    until(in_state(client, job["id"], "cancelled"))
    (kept,) = client.checkpoints(job=job["id"])
    client.resume(job["id"])
    until(lambda: (client.job(job["id"])["progress"] or {}).get("global_step", 0) > kept["step"])
    resumed = client.job(job["id"])
    assert resumed["attempts"][-1]["resumed_from"] == kept["id"]
    client.cancel(job["id"])
    until(in_state(client, job["id"], "cancelled"))


def test_a_stopped_stack_hands_its_job_over_to_the_next(settings: Settings) -> None:
    with LocalStack(settings) as first, Client(first.url) as client:
        upload(client)
        job = client.submit_job(LONG)
        until(has_progress(client, job["id"]))
    assert (
        processes("redis-server")
        == processes("uvicorn")
        == processes("celery")
        == processes("worker.run")
        == []
    )
    with LocalStack(settings) as second, Client(second.url) as client:
        until(lambda: client.job(job["id"])["attempt"] == 2)
        attempt, again = client.job(job["id"])["attempts"]
        assert attempt["outcome"] == "interrupted"
        assert again["resumed_from"] is not None
        client.cancel(job["id"])
        until(in_state(client, job["id"], "cancelled"))
