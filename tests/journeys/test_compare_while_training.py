"""Weights compared by a real worker while its one job trains, and a stop that a comparison does not delay."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from factories import GOOGL, make_checkpoint

from app.actions.compare_weights import request_weights_diff
from app.checkpoint.inspect import inspect_checkpoint
from app.client import Client
from app.local import LocalStack
from app.registry.database import Database
from app.registry.weights_diffs import find_diff
from app.settings import Settings
from app.storage import FolderStorage, Stored

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("journeys"), pytest.mark.timeout(420)]

LONG = {
    "dataset": "googl",
    "environment": {
        "costs": {"fee_bps": 5, "half_spread_bps": 1, "slippage": 0.02, "borrow_bps_per_year": 300}
    },
    "hidden_dims": [8],
    "lookback": 5,
    "features": ["ret_1", "rsi_14"],
    "total_timesteps": 100_000_000,
    "overrides": {"num_envs": 4, "num_steps": 32},
}


@pytest.fixture
def settings(tmp_path: Path, free_port: int) -> Settings:
    return Settings(
        data_dir=tmp_path / "data", port=free_port, relay_seconds=0.2, heartbeat_seconds=1, default_tier="cpu"
    )


@pytest.fixture
def stack(settings: Settings) -> Iterator[LocalStack]:
    with LocalStack(settings) as stack:
        yield stack


def until(what: Callable[[], Any], seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.1)
    return found


def comparing() -> list[psutil.Process]:
    """The children that compare, among this test's descendants."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "app.weights.__main__" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def huge(settings: Settings, path: Path) -> str:
    """A checkpoint of 60 GiB that need no disk: it is still being compared when the stack stops."""
    size = 60 << 30
    header = b'{"w":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}' % (size // 4, size)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    report = inspect_checkpoint(path, with_sha256=False)
    FolderStorage(settings.artifacts_dir).adopt(path, Stored("ab" * 32, path.stat().st_size))
    row = make_checkpoint(sha256="ab" * 32, report=report.plain())
    database = Database(settings.database_url)
    with database.write() as session:
        session.add(row)
    database.close()
    return row.id


def test_a_comparison_does_not_wait_behind_the_training(stack: LocalStack, tmp_path: Path) -> None:
    with Client(stack.url) as client:
        declarations = {"calendar": "XNYS", "adjusted": "split", "volume_unit": "shares"}
        client.upload_dataset(GOOGL, name="googl", declarations=declarations)
        job = client.submit_job(LONG)
        until(lambda: client.job(job["id"])["progress"])
        ids = []
        for value in (1.0, 1.5):
            torch.save({"w": torch.full((4,), value)}, tmp_path / "w.pt")
            ids.append(client.upload_checkpoint(tmp_path / "w.pt", name=str(value))["id"])
        answer = client.diff_weights(*ids)
        assert answer["total"]["relative_change"] == 0.5
        assert client.job(job["id"])["state"] == "running"
        (worker,) = (
            process
            for process in psutil.Process().children(recursive=True)
            if "worker.main" in " ".join(process.cmdline())
            and "worker.main" not in " ".join(process.parent().cmdline())
        )
        assert not any("libtorch" in entry.path or "numpy" in entry.path for entry in worker.memory_maps())


def test_a_stop_kills_the_comparison_and_gives_it_back(settings: Settings, tmp_path: Path) -> None:
    database = Database(settings.database_url)
    with LocalStack(settings):
        checkpoint = huge(settings, tmp_path / "huge")
        asked = request_weights_diff(database, checkpoint, checkpoint).id
        until(comparing)
    assert comparing() == []
    with database.read() as session:
        row = find_diff(session, asked)
    database.close()
    assert (row.state, row.attempts, row.fence) == ("queued", 0, 1)
