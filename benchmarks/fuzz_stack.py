"""The service that is fuzzed: a real API process, its real Redis and registry, and a few things of every kind in it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx

from app.local.prepare import make_folders
from app.local.services import answers_ping, redis_service
from app.registry.attempts import claim_job
from app.registry.database import Database
from app.settings import Settings
from benchmarks.api_process import ROOT, ApiProcess, make_settings, running, running_api
from benchmarks.fuzz_worker import NAME, StandIn

SILENT: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
BARS = ROOT / "examples" / "data" / "googl_1d.csv"
UNLIMITED: dict[str, Any] = {
    "requests_per_second": 1_000_000,
    "requests_burst": 1_000_000,
    "key_open_jobs": 1_000_000,
}
"""Who asks a thousand times a minute is refused otherwise."""
NAMES = ("googl-daily", "btc-1h", "eth-1h")
"""The datasets that the document's examples of jobs name."""
DECLARED = {"calendar": "XNYS", "adjusted": "split", "volume_unit": "shares"}
COSTS = {"fee_bps": 5.0, "half_spread_bps": 1.0, "slippage": 0.02, "borrow_bps_per_year": 300.0}
SPEC: dict[str, Any] = {
    "dataset": NAMES[0],
    "total_timesteps": 512,
    "hidden_dims": [8],
    "lookback": 5,
    "features": ["ret_1"],
    "tier": "cpu",
    "environment": {"costs": COSTS},
    "overrides": {"num_envs": 4, "num_steps": 32},
}
"""A job that a CPU trains in seconds."""


@contextmanager
def fuzzed_service(folder: Path, database_url: str | None = None, **more: Any) -> Iterator[ApiProcess]:
    """The service on a free port of loopback, with the stand-in at work; `more` are settings."""
    url = {"database_url": database_url} if database_url else {}
    settings = make_settings(folder, default_tier="cpu", **UNLIMITED, **url, **more)
    make_folders(settings)
    with (
        running(redis_service(settings), folder / "redis.log", lambda: answers_ping(settings)),
        running_api(settings, folder / "api.log") as api,
        closing(Database(settings.database_url)) as database,
    ):
        fill(api, database)
        with StandIn(database).working():
            yield api


def fill(api: ApiProcess, database: Database) -> None:
    """Datasets, a job that was trained and evaluated, its checkpoints, an upload, a comparison."""
    with httpx.Client(base_url=api.url, timeout=120, trust_env=False) as client:
        for name in NAMES:
            files = {"file": (BARS.name, BARS.read_bytes())}
            _post(client, "/datasets", files=files, data={"name": name, **DECLARED})
        job = _post(client, "/jobs", json=SPEC)
        _train(api.settings, database, job["id"])
        made = client.get("/checkpoints").json()["items"]
        if not made:
            sys.exit("the first job made no checkpoint")
        _post(client, "/uploads", json={"name": "half.pt", "bytes": 1_000_000})
        _post(client, "/checkpoints/diff/weights", params={"left": made[0]["id"], "right": made[0]["id"]})
        for _ in range(3):
            _post(client, "/jobs", json=SPEC)


def _train(settings: Settings, database: Database, job_id: str) -> None:
    """One attempt by the real trainer, so that there is a real checkpoint and a real evaluation."""
    with database.write() as session:
        claim = claim_job(session, job_id, NAME, 300)
    if claim is None:
        sys.exit("the first job could not be claimed")
    command = [sys.executable, "-m", "worker.run", job_id, str(claim.hold.fence), str(os.getpid())]
    environment = {**os.environ, **settings.environment()}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=300, **SILENT)


def _post(client: httpx.Client, path: str, **options: Any) -> dict[str, Any]:
    answer = client.post(path, **options)
    if answer.is_error:
        sys.exit(f"POST {path}: {answer.status_code} {answer.text[:2000]}")
    body: dict[str, Any] = answer.json()
    return body
