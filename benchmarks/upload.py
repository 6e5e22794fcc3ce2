"""Memory and speed of a real API process while large checkpoints are streamed to it and back over loopback.

    python -m benchmarks.upload [--gb 10]

Starts the API as a process of its own on SQLite. A sparse safetensors file of the given size goes up in one request
and comes back; another goes up in parts, with a break in the middle, and comes back. For each: the process' resident
memory at the start, its peak and at the end (VmRSS, VmHWM), the rate, and the longest that GET /healthz took meanwhile.
What comes back is counted and hashed. Takes as much room on the disk as one file has.
"""

import argparse
import hashlib
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from app.client import Client
from benchmarks.api_process import ROOT, ApiProcess, make_settings, running_api

PING_SECONDS = 0.02
MIB = 1 << 20
ROOM = 64 << 20
"""What the service may have beyond a file's own size: headers and the form around it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gb", type=float, default=10.0, help="size of each file in 10^9 bytes")
    size = int(parser.parse_args().gb * 1e9)
    describe_machine()
    print(
        f"{'what':<38}{'bytes':>16}{'seconds':>9}{'MB/s':>7}{'resident':>10}{'peak':>8}{'end':>8}  MiB{'ping':>9}"
    )
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".upload-") as name:
        folder = Path(name)
        os.environ["TMPDIR"] = name
        settings = make_settings(folder, max_upload_bytes=size + ROOM, log_level="ERROR")
        first, second = (make_file(folder / each, size, seed) for seed, each in enumerate("ab"))
        with running_api(settings, folder / "api.log") as api, Client(api.url) as client:
            row("idle", api, _nothing)
            row("up in one request, POST /checkpoints", api, lambda: send_whole(api.url, first))
            row("down, GET /checkpoints/{id}/file", api, lambda: fetch(api.url, client, first))
            forget(client)
            row("up in parts, broken and resumed", api, lambda: send_broken(client, second))
            row("down, GET /checkpoints/{id}/file", api, lambda: fetch(api.url, client, second))
            forget(client)
            print(f"traces in the log: {api.traces()}")


def describe_machine() -> None:
    print(
        f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, httpx {httpx.__version__}; "
        f"client and service share the machine, load average {os.getloadavg()[0]:.1f}"
    )


def make_file(path: Path, size: int, seed: int) -> Path:
    """A sparse safetensors file of one large layer; the header makes it another file each time."""
    rows = size // 4096
    text = (
        f'{{"actor.{seed}.weight":{{"dtype":"F32","shape":[{rows},1024],"data_offsets":[0,{rows * 4096}]}}}}'
    )
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text.encode())
        file.truncate(8 + len(text) + rows * 4096)
    return path


def send_whole(url: str, file: Path) -> int:
    with file.open("rb") as stream:
        answer = httpx.post(
            f"{url}/checkpoints",
            files={"file": (file.name, stream)},
            data={"name": file.name},
            timeout=1_800,
            trust_env=False,
        )
    answer.raise_for_status()
    return file.stat().st_size


def send_broken(client: Client, file: Path) -> int:
    """Break off in the middle and go on, as after Ctrl-C."""

    def stop(received: int, size: int) -> None:
        if received > size // 2:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        client.upload_checkpoint(file, name=file.name, on_progress=stop)
    client.upload_checkpoint(file, name=file.name)
    return file.stat().st_size


def fetch(url: str, client: Client, file: Path) -> int:
    """The registered file of this name, hashed as it comes; ends the run where it is not the one that was sent."""
    found = next(each for each in client.checkpoints() if each["name"] == file.name)
    digest, size = hashlib.sha256(), 0
    with httpx.stream("GET", f"{url}/checkpoints/{found['id']}/file", timeout=600, trust_env=False) as answer:
        answer.raise_for_status()
        for block in answer.iter_bytes(MIB):
            digest.update(block)
            size += len(block)
    if (digest.hexdigest(), size) != (found["sha256"], file.stat().st_size):
        sys.exit(f"{size:,} bytes came back, and they are not those that were sent")
    return size


def forget(client: Client) -> None:
    """Delete what was registered, and with it the bytes."""
    for found in list(client.checkpoints()):
        client.delete_checkpoint(found["id"])


def row(what: str, api: ApiProcess, work: Callable[[], int]) -> None:
    api.forget_peak()
    before = api.resident_bytes()
    with pinging(api.url) as pings:
        started = time.perf_counter()
        size = work()
        seconds = time.perf_counter() - started
    speed = f"{size / 1e6 / seconds:,.0f}" if size else ""
    memory = "".join(
        f"{each / MIB:>{width},.1f}"
        for each, width in ((before, 10), (api.peak_bytes(), 8), (api.resident_bytes(), 8))
    )
    print(
        f"{what:<38}{size:>16,}{seconds:>9.1f}{speed:>7}{memory}     {max(pings) * 1e3:>6,.0f} ms", flush=True
    )


def _nothing() -> int:
    time.sleep(0.5)
    return 0


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


if __name__ == "__main__":
    main()
