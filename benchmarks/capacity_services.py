"""What capacity.py asks: Redis and one API process, and files to send."""

import itertools
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.local.services import Service, answers_http, answers_ping, api_service, redis_service
from app.settings import Settings

START_SECONDS = 180.0
"""How long Redis and the API may take to start on a busy machine."""

HIDDEN = 1_000
"""Width of the layers that fill a checkpoint."""


@contextmanager
def started(settings: Settings) -> Iterator[tuple[int, int]]:
    """Redis and one API process, until the block ends; their process ids."""
    assert settings.redis_socket is not None
    for folder in (settings.data_dir / "redis", settings.redis_socket.parent, settings.spool_dir):
        folder.mkdir(parents=True, exist_ok=True)
    services: tuple[tuple[Service, Callable[[], bool]], ...] = (
        (redis_service(settings), lambda: answers_ping(settings)),
        (api_service(settings), lambda: answers_http(settings, "/healthz")),
    )
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for service, is_ready in services:
            log = settings.data_dir / f"{service.name}.log"
            processes.append(_start(service, log))
            _await(is_ready, processes[-1], log)
        yield processes[0].pid, processes[1].pid
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(20)


def large_checkpoint(path: Path, size: int) -> Path:
    """A policy of about so many bytes, in CleanRL's layout and safetensors' format."""
    layers = max(1, size // (4 * HIDDEN * HIDDEN))
    widths = [HIDDEN] * (layers + 1) + [3]
    tensors: dict[str, tuple[int, ...]] = {}
    for place, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        tensors |= {f"actor.{place * 2}.weight": (outputs, inputs), f"actor.{place * 2}.bias": (outputs,)}
    tensors |= {"critic.0.weight": (1, HIDDEN), "critic.0.bias": (1,)}
    header, end = {}, 0
    for name, shape in tensors.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + 4 * count]}
        end += 4 * count
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.write(bytes(end))
    return path


def _start(service: Service, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen(
            service.command, env={**os.environ, **service.environment}, stdout=file, stderr=file
        )


def _await(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once it is true; tell the end of the log where the process ends or takes too long."""
    ends = time.monotonic() + START_SECONDS
    while not condition():
        if process.poll() is not None or time.monotonic() > ends:
            raise RuntimeError(f"it did not start: {log.read_text(errors='replace')[-2_000:]}")
        time.sleep(0.05)
