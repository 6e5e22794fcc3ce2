"""`caliper checkpoints upload` and the service as processes of their own, killed in the middle with SIGKILL."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running_service import eventually

from app.client import Client
from app.client.upload import PART_BYTES
from app.registry.database import Database
from app.settings import MIB, Settings

ROOT = Path(__file__).parents[2]
ROWS = 48 * MIB // 4096
SOME = 4 * MIB


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A sparse file of two parts: one layer of zeros."""
    text = f'{{"actor.0.weight":{{"dtype":"F32","shape":[{ROWS},1024],"data_offsets":[0,{ROWS * 4096}]}}}}'
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text.encode())
        file.truncate(8 + len(text) + ROWS * 4096)
    assert (tmp_path / "model.safetensors").stat().st_size > PART_BYTES
    return tmp_path / "model.safetensors"


class Processes:
    """A service on a port of its own, and uploads to it; all ended with the test."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.started: list[subprocess.Popen[bytes]] = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def serve(self) -> subprocess.Popen[bytes]:
        """Start the service; it answers when this returns."""
        options = ["--factory", "app.main:create_app", "--port", str(self.port), "--log-level", "error"]
        service = self._start("-m", "uvicorn", *options)
        eventually(self._answers)
        return service

    def upload(self, model: Path) -> subprocess.Popen[bytes]:
        """Begin `caliper checkpoints upload`."""
        command = ("checkpoints", "upload", str(model), "--name", "m", "--url", self.url)
        return self._start("-c", "from app.cli import main; main()", *command)

    def arrived(self) -> int:
        """Bytes that lie on the service's disk so far."""
        waiting = list((self.settings.artifacts_dir / "incoming").glob("upload_*"))
        return waiting[0].stat().st_size if waiting else 0

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **self.settings.environment()}
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=environment, stderr=subprocess.PIPE
        )
        self.started.append(process)
        return process


@pytest.fixture
def processes(settings: Settings, registry: Database) -> Iterator[Processes]:
    started = Processes(settings)
    yield started
    for process in started.started:
        process.kill()
        process.communicate()


def kill_within_a_part(process: subprocess.Popen[bytes], arrived: Callable[[], int]) -> int:
    """SIGKILL once some more has arrived than had; the bytes that have then."""
    before = arrived()
    eventually(lambda: arrived() > before + SOME)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was done before it could be killed"
    return arrived()


@pytest.mark.slow
def test_both_sides_are_killed_and_one_checkpoint_stands_at_the_end(
    processes: Processes, model: Path
) -> None:
    service = processes.serve()
    killed_at = kill_within_a_part(processes.upload(model), processes.arrived)
    assert 0 < killed_at < model.stat().st_size
    again = processes.upload(model)
    kept = kill_within_a_part(service, processes.arrived)
    assert kept >= killed_at, "what arrived before the first kill was sent again"
    processes.serve()
    said = again.communicate(timeout=60)[1].decode()
    assert again.returncode == 0, said
    with Client(processes.url) as client:
        rows = list(client.checkpoints())
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    assert [(row["name"], row["sha256"], row["bytes"]) for row in rows] == [
        ("m", digest, model.stat().st_size)
    ]
    assert hashlib.sha256(stored(processes.settings).read_bytes()).hexdigest() == digest
    assert processes.arrived() == 0


def stored(settings: Settings) -> Path:
    """The one stored file."""
    files = [path for path in (settings.artifacts_dir / "objects").rglob("*") if path.is_file()]
    assert len(files) == 1
    return files[0]
