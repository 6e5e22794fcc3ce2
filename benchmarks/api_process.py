"""A real API process on loopback, started by the command line of the one-machine stack, and what it takes of the machine."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.local.prepare import make_folders
from app.local.services import Service, api_service
from app.registry.database import migrate
from app.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 240.0
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class ApiProcess:
    """The process, and what it writes."""

    url: str
    settings: Settings
    pid: int
    log: Path

    def resident_bytes(self) -> int:
        """Memory that it has now."""
        return self._status("VmRSS")

    def peak_bytes(self) -> int:
        """Most memory that it has had, since its start or since `forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        """Let the peak be what it has now (Linux: proc(5), clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def open_files(self) -> int:
        """Files and sockets that it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def traces(self) -> int:
        """Traces of errors in its log."""
        return self.log.read_text(errors="replace").count("Traceback (most recent call last)")

    def _status(self, name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        return int(found[1]) * 1024 if found else 0


@contextmanager
def running_api(settings: Settings, log: Path) -> Iterator[ApiProcess]:
    """The API on a migrated registry."""
    make_folders(settings)
    migrate(settings.database_url)
    url = f"http://{settings.host}:{settings.port}"
    with running(api_service(settings), log, lambda: _answers(url)) as process:
        yield ApiProcess(url, settings, process.pid, log)


def make_settings(folder: Path, **more: Any) -> Settings:
    """Settings of a service of its own below `folder`, on a free port."""
    return Settings(data_dir=folder / "data", port=free_port(), **more)


@contextmanager
def running(service: Service, log: Path, is_ready: Callable[[], bool]) -> Iterator[subprocess.Popen[bytes]]:
    """A service's process, from when it is ready until the block ends."""
    environment = {**os.environ, **service.environment}
    with log.open("ab") as output:
        process = subprocess.Popen(
            service.command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    deadline = time.monotonic() + START_SECONDS
    try:
        while not is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{service.name} did not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        process.kill()
        process.wait()


def free_port() -> int:
    """A TCP port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/healthz", trust_env=False).is_success
    return False
