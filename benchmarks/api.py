"""Requests per second and core of GET /estimate against a bare FastAPI JSON hello.

    python benchmarks/api.py [--rounds 15] [--seconds 1.0] [--connections 32]

Starts both services as one uvicorn process each, with the same settings (uvloop, httptools, no access log), and
pins both to one core and this process, which makes the requests over keep-alive connections, to another. In each
round all three kinds of requests have their turn: hello; one /estimate again and again (a kept answer); and /estimate
with another network each time (computed). A service's own processor seconds are read from the kernel, so that
other work on the machine, which takes wall time from all, does not count: `per core` is requests by processor second.

An answer that is computed cannot come near a hello: writing its JSON alone, all else being free, is timed at the end.
"""

import argparse
import asyncio
import itertools
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastapi
import uvicorn
import uvloop
from pydantic import TypeAdapter

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.network.question import Question  # noqa: E402
from app.network.sizing import Sizing, size_network  # noqa: E402
from app.registry.database import migrate  # noqa: E402
from app.settings import Settings  # noqa: E402

HELLO = "/hello"
REPEATED = "/estimate?obs_dim=5300&hidden=2048,1024,512,256"
GOAL = 0.6
WARM_SECONDS = 0.3


@dataclass(frozen=True)
class Turn:
    """What one kind of request did in one turn."""

    requests: int
    wall: float
    processor: float
    bytes: int

    @property
    def per_core(self) -> float:
        """Requests by processor second of the service."""
        return self.requests / self.processor


@dataclass(frozen=True)
class Target:
    """A service and how to ask it."""

    port: int
    process: int
    path: Callable[[], str]


class Asker(asyncio.Protocol):
    """One keep-alive connection: a request, its whole answer, the next request."""

    def __init__(self, path: Callable[[], str], count: list[int]) -> None:
        self.path, self.count = path, count
        self.missing, self.head = 0, b""
        self.asking = True
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        """Send a request."""
        self.transport.write(f"GET {self.path()} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Take in a part of an answer; after its last one ask again."""
        if not self.missing:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            data = self.begin(end)
        self.missing -= len(data)
        if not self.missing:
            self.count[0] += 1
            if self.asking:
                self.ask()

    def begin(self, end: int) -> bytes:
        """Read the head of an answer; return what has arrived of its body."""
        head, body = self.head[:end].lower(), self.head[end + 4 :]
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(head.decode(errors="replace"))
        self.head = b""
        length = head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]
        self.missing = int(length)
        self.count[1] = self.missing
        return body


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--connections", type=int, default=32)
    arguments = parser.parse_args()
    server_core, own_core = split_cores()
    describe_machine(server_core, own_core)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        hello = stack.enter_context(
            serving(["--app-dir", str(ROOT / "benchmarks"), "hello_app:app"], {}, server_core)
        )
        settings = Settings(
            data_dir=Path(folder) / "data", log_level="ERROR", relay_seconds=3600, sweep_seconds=3600
        )
        migrate(settings.database_url)
        command = ["--factory", "app.main:create_app"]
        estimate = stack.enter_context(serving(command, settings.environment(), server_core))
        os.sched_setaffinity(0, {own_core})
        numbers = itertools.count(1)
        targets = {
            "hello": Target(*hello, path=lambda: HELLO),
            "estimate, repeated": Target(*estimate, path=lambda: REPEATED),
            "estimate, all different": Target(*estimate, path=lambda: different(next(numbers))),
        }
        rounds = [measure_round(targets, arguments, number) for number in range(arguments.rounds)]
    report(rounds, arguments)


def different(number: int) -> str:
    """A network that was not asked about before."""
    return f"/estimate?obs_dim={64 + number}&hidden={512 + number % 1500},256,128&num_envs={8 + number % 120}"


def measure_round(targets: dict[str, Target], arguments: argparse.Namespace, number: int) -> dict[str, Turn]:
    """All targets in turn; every other round the other way round."""
    names = list(targets) if number % 2 else list(reversed(targets))
    return {name: uvloop.run(take_turn(targets[name], arguments)) for name in names}


async def take_turn(target: Target, arguments: argparse.Namespace) -> Turn:
    loop, count = asyncio.get_running_loop(), [0, 0]
    await ask_once(target)
    askers = [
        (await loop.create_connection(lambda: Asker(target.path, count), "127.0.0.1", target.port))[1]
        for _ in range(arguments.connections)
    ]
    await asyncio.sleep(WARM_SECONDS)
    requests, processor, started = count[0], processor_seconds(target.process), time.perf_counter()
    await asyncio.sleep(arguments.seconds)
    turn = Turn(
        count[0] - requests,
        time.perf_counter() - started,
        processor_seconds(target.process) - processor,
        count[1],
    )
    for asker in askers:
        asker.asking = False
        asker.transport.close()
    return turn


async def ask_once(target: Target) -> None:
    """Let a repeated question be computed before many ask it at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    writer.write(f"GET {target.path()} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    await reader.read()
    writer.close()


def processor_seconds(process: int) -> float:
    """What all threads of a process have used, as the kernel counts it: by the scheduler's clock, not by ticks."""
    spent = sum(
        int(part.read_text().split()[0]) for part in Path(f"/proc/{process}/task").glob("*/schedstat")
    )
    return spent / 1e9


@contextmanager
def serving(app: list[str], environment: dict[str, str], core: int) -> Iterator[tuple[int, int]]:
    """A uvicorn process on one core: its port and its id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = [
        "--port",
        str(port),
        "--loop",
        "uvloop",
        "--http",
        "httptools",
        "--log-level",
        "error",
        "--no-access-log",
    ]
    command = [sys.executable, "-m", "uvicorn", *app, *options]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}) as server:
        try:
            os.sched_setaffinity(server.pid, {core})
            wait_for(port)
            yield port, server.pid
        finally:
            server.terminate()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    sys.exit("a service did not start")


def split_cores() -> tuple[int, int]:
    """A core for the services and one for the requests; the same one where there is no other."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]


def describe_machine(server_core: int, own_core: int) -> None:
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    print(f"{model}, {os.cpu_count()} CPUs; Python {platform.python_version()}, ", end="")
    print(
        f"FastAPI {fastapi.__version__}, uvicorn {uvicorn.__version__}; load average {os.getloadavg()[0]:.1f}"
    )
    print(f"services on core {server_core}, requests from core {own_core}")


def report(rounds: list[dict[str, Turn]], arguments: argparse.Namespace) -> None:
    print(
        f"{len(rounds)} rounds of {arguments.seconds:g} s a turn, {arguments.connections} connections; "
        "median [quartiles] of the rounds\n"
    )
    print(
        f"{'':<26}{'answer':>10}{'requests/s':>13}{'per core':>12}{'ratio per core':>28}{'ratio of requests/s':>28}"
    )
    for name in ("hello", "estimate, repeated", "estimate, all different"):
        turns = [each[name] for each in rounds]
        wall = statistics.median(turn.requests / turn.wall for turn in turns)
        core = statistics.median(turn.per_core for turn in turns)
        by_core = [each[name].per_core / each["hello"].per_core for each in rounds]
        by_wall = [
            (each[name].requests / each[name].wall) / (each["hello"].requests / each["hello"].wall)
            for each in rounds
        ]
        print(
            f"{name:<26}{turns[-1].bytes:>8,} B{wall:>13,.0f}{core:>12,.0f}{spread(by_core):>28}{spread(by_wall):>28}"
        )
    repeated = statistics.median(
        each["estimate, repeated"].per_core / each["hello"].per_core for each in rounds
    )
    computed = statistics.median(1e3 / each["estimate, all different"].per_core for each in rounds)
    print(
        f"\nrepeated questions: {repeated:.2f} x hello per core; goal {GOAL}: {'met' if repeated >= GOAL else 'MISSED'}"
    )
    hello = statistics.median(1e3 / each["hello"].per_core for each in rounds)
    print(f"an answer that is computed takes {computed:.2f} ms of one core, request and all")
    print(f"writing its JSON alone takes {time_writing():.3f} ms, a whole hello {hello:.3f} ms")


def time_writing(rounds: int = 400) -> float:
    """Milliseconds of a core to write one answer as JSON, once it is there; the median."""
    answer = size_network(Question(obs_dim=5300, hidden_dims=(2048, 1024, 512, 256)))
    adapter, took = TypeAdapter(Sizing), []
    for _ in range(rounds):
        started = time.process_time()
        adapter.dump_json(answer)
        took.append(time.process_time() - started)
    return 1e3 * statistics.median(took)


def spread(values: list[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
