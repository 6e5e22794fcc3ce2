"""Peak memory and speed of a real API process while a large checkpoint is streamed to it over loopback.

    python benchmarks/upload.py [--gib 1]

Starts `uvicorn app.main:create_app` as a process of its own on SQLite, sends a sparse safetensors file of the
given size through POST /checkpoints in one request, and then another in parts with a break in the middle, and
reads the process' peak resident memory (VmHWM) before and after each.
"""

import argparse
import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from app.client import Client
from app.registry.database import migrate
from app.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PING_SECONDS = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=1.0)
    size = int(parser.parse_args().gib * (1 << 30))
    describe_machine()
    print(
        f"{'what':<34}{'sent':>11}{'seconds':>9}{'MB/s':>7}{'peak RSS before':>17}{'after':>10}{'slowest ping':>14}"
    )
    with tempfile.TemporaryDirectory(dir=ROOT) as folder, running(Path(folder)) as (url, process):
        first, second = (make_file(Path(folder) / name, size, seed) for seed, name in enumerate("ab"))
        with Client(url) as client:
            row("idle", process, 0, lambda: time.sleep(0.5), url)
            row("one request, POST /checkpoints", process, size, lambda: send_whole(url, first), url)
            row(
                "parts of 32 MiB, broken and resumed", process, size, lambda: send_broken(client, second), url
            )
            names = sorted(found["name"] for found in client.checkpoints())
    if names != ["a", "b"]:
        sys.exit(f"expected both files to be registered, found {names}")


def describe_machine() -> None:
    print(
        f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, httpx {httpx.__version__}"
    )


@contextmanager
def running(folder: Path) -> Iterator[tuple[str, int]]:
    """A real API process: its address and its id."""
    settings = Settings(data_dir=folder / "data", log_level="ERROR")
    migrate(settings.database_url)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--factory", "app.main:create_app"]
    options = ["--port", str(port), "--log-level", "error", "--no-access-log"]
    environment = {**os.environ, **settings.environment(), "TMPDIR": str(folder)}
    with subprocess.Popen([*command, *options], cwd=ROOT, env=environment) as server:
        url = f"http://127.0.0.1:{port}"
        try:
            while True:
                with suppress(httpx.TransportError):
                    httpx.get(f"{url}/healthz", trust_env=False)
                    break
                time.sleep(0.1)
            yield url, server.pid
        finally:
            server.terminate()


def make_file(path: Path, size: int, seed: int) -> Path:
    """A sparse safetensors file of one large layer; the header makes it another file each time."""
    rows = size // 4 // 1024
    text = (
        f'{{"actor.{seed}.weight":{{"dtype":"F32","shape":[{rows},1024],"data_offsets":[0,{rows * 4096}]}}}}'
    )
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text.encode())
        file.truncate(8 + len(text) + rows * 4096)
    return path


def send_whole(url: str, file: Path) -> None:
    with file.open("rb") as stream:
        answer = httpx.post(
            f"{url}/checkpoints",
            files={"file": (file.name, stream)},
            data={"name": file.name},
            timeout=600,
            trust_env=False,
        )
    answer.raise_for_status()


def send_broken(client: Client, file: Path) -> None:
    """Break off in the middle and go on, as after Ctrl-C."""

    def stop(received: int, size: int) -> None:
        if received > size // 2:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        client.upload_checkpoint(file, name=file.name, on_progress=stop)
    client.upload_checkpoint(file, name=file.name)


def row(what: str, process: int, size: int, work: object, url: str) -> None:
    before = peak_rss(process)
    with pinging(url) as pings:
        started = time.perf_counter()
        work()  # type: ignore[operator]
        seconds = time.perf_counter() - started
    speed = f"{size / 1e6 / seconds:,.0f}" if size else ""
    peaks = f"{before / 1e6:>14,.1f} MB{peak_rss(process) / 1e6:>7,.1f} MB"
    print(f"{what:<34}{size / 1e6:>8,.0f} MB{seconds:>9.2f}{speed:>7}{peaks}{max(pings) * 1e3:>11,.0f} ms")


@contextmanager
def pinging(url: str) -> Iterator[list[float]]:
    """Ask for /healthz all the while: how long the event loop keeps others waiting."""
    pings: list[float] = []
    done = threading.Event()

    def ping() -> None:
        with httpx.Client(trust_env=False, timeout=60) as client:
            while not done.is_set():
                started = time.perf_counter()
                client.get(f"{url}/healthz")
                pings.append(time.perf_counter() - started)
                time.sleep(PING_SECONDS)

    thread = threading.Thread(target=ping)
    thread.start()
    try:
        yield pings
    finally:
        done.set()
        thread.join()


def peak_rss(process: int) -> int:
    """Bytes of resident memory at their peak, as the kernel counts them."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    main()
