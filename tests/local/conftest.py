"""Small stand-ins for the services, each an interpreter that starts in a few milliseconds."""

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.local.processes import Process
from app.local.services import Service
from app.settings import ENV_PREFIX, Settings

READY_SLEEPER = """
import pathlib, signal, sys, time
here = pathlib.Path(sys.argv[1])
def leave(*_):
    with open(here / "stopped", "a") as log: log.write(sys.argv[2] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
(here / (sys.argv[2] + ".ready")).touch()
while True: time.sleep(0.05)
"""
"""Says that it is ready by a file, and notes the order in which it was stopped."""

STUBBORN_SLEEPER = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
(pathlib.Path(sys.argv[1]) / (sys.argv[2] + ".ready")).touch()
time.sleep(120)
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in [name for name in os.environ if name.upper().startswith(ENV_PREFIX)]:
        monkeypatch.delenv(name)
    return Settings(data_dir=tmp_path / "data", port=free_port())


@pytest.fixture
def stand_in(tmp_path: Path) -> Callable[..., Service]:
    """Build a service from a piece of Python that gets the folder and its name as arguments."""

    def build(name: str, code: str = READY_SLEEPER, **options: Any) -> Service:
        command = (sys.executable, "-I", "-S", "-c", code, str(tmp_path), name)
        return Service(name, command, **{"is_ready": (tmp_path / f"{name}.ready").exists, **options})

    return build


@pytest.fixture
def ended() -> Iterator[list[Process]]:
    """Processes noted here must be gone at the end of the test; what is not is killed and fails it."""
    noted: list[Process] = []
    yield noted
    alive = [process for process in noted if process.is_alive()]
    for process in alive:
        os.kill(process.pid, 9)
    assert alive == []


def free_port() -> int:
    """A TCP port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true value of the condition; fails after the bound, which no passing test comes near."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
    return value
