"""What one core does in a second, measured: each operation of the service again and again, on SQLite and on PostgreSQL.

Writes of a registry are made as the service makes them, one transaction each; on PostgreSQL by several clients at once,
as workers are. What counts is processor time of whoever is to be outgrown: of the whole process on SQLite, which has one
writer at a time; of the server on PostgreSQL, whose clients have machines of their own; of the API process; of Redis; of
the child that reads a file. So other work on the machine, which takes wall time from all, does not count.
"""

import itertools
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import psutil

from app.actions.accept_dataset import accept_dataset
from app.actions.submit_job import submit_job
from app.api.job_feed import read_news
from app.checkpoint.sandbox import inspect_in_child
from app.jobs.spec import JobSpec
from app.market.declarations import Declarations
from app.market.trading import RETAIL_COSTS, EnvSpec
from app.queue import Queue
from app.registry.attempts import Hold, claim_job, finish_job, renew_lease, wanted_of
from app.registry.database import Database, migrate
from app.registry.metrics import record_progress
from app.registry.workers import describe_worker, register_worker, renew_worker
from app.settings import Settings
from app.storage import FolderStorage
from benchmarks.capacity_services import large_checkpoint, started

Work: TypeAlias = Callable[[], object]
Meter: TypeAlias = Callable[[], float]
"""Tells processor seconds spent so far."""

MOST_WALL = 60.0
"""Longest time of one measurement, whatever else the machine does."""

GOOGL = Path(__file__).resolve().parents[1] / "examples" / "data" / "googl_1d.csv"
VALUES = 12
"""Numbers of a progress record: what a trainer reports after an update."""

UPLOAD_BYTES = 64 << 20


@dataclass(frozen=True)
class Bench:
    """A registry with running jobs, and how it is asked."""

    settings: Settings
    database: Database
    holds: tuple[Hold, ...]
    clients: int
    seconds: float
    meter: Meter

    def rate(self, make: Callable[[int], Work]) -> float:
        """How often a processor second all clients together do it; `make` gives each client its work."""
        works = [make(number) for number in range(self.clients)]
        done = [0] * self.clients
        over = threading.Event()

        def run(number: int) -> None:
            while not over.is_set():
                works[number]()
                done[number] += 1

        for work in works:
            work()  # connections are opened, statements compiled
        threads = [threading.Thread(target=run, args=(number,)) for number in range(self.clients)]
        begun = self.meter()
        for thread in threads:
            thread.start()
        _await_seconds(self.meter, begun, self.seconds)
        over.set()
        for thread in threads:
            thread.join()
        return sum(done) / (self.meter() - begun)


def measure_registry(url: str, folder: Path, clients: int, seconds: float, meter: Meter) -> dict[str, float]:
    """Operations a processor second of a registry at this URL."""
    settings = Settings(data_dir=folder, database_url=url, default_tier="cpu")
    migrate(url)
    database = Database(url)
    try:
        holds = tuple(_submit_and_claim(settings, database, number) for number in range(max(8, clients)))
        bench = Bench(settings, database, holds, clients, seconds, meter)
        return {name: bench.rate(lambda n, make=make: make(bench, n)) for name, make in REGISTRY_WORK.items()}
    finally:
        database.close()


def measure_service(folder: Path, seconds: float) -> dict[str, float]:
    """What API process, Redis and reader do in a processor second, on SQLite."""
    settings = Settings(data_dir=folder, default_tier="cpu", port=8493)
    migrate(settings.database_url)
    database = Database(settings.database_url)
    _dataset(settings, database)
    file = large_checkpoint(folder / "large.safetensors", UPLOAD_BYTES)
    small = large_checkpoint(folder / "small.safetensors", 1 << 20)
    with ExitStack() as stack:
        redis, api = (meter_of(pid) for pid in stack.enter_context(started(settings)))
        client = stack.enter_context(
            httpx.Client(base_url=f"http://127.0.0.1:{settings.port}", timeout=120, trust_env=False)
        )
        queue = Queue(settings)
        stack.callback(queue.close)
        stack.callback(database.close)
        rates = {
            "short requests": _repeat(lambda: client.get("/jobs").raise_for_status(), seconds, api),
            "jobs submitted over HTTP": _repeat(lambda: _post_job(client), seconds, api),
            "messages to Redis": _repeat(lambda: queue.send("bench.cpu", "job_1", 1), seconds / 4, redis),
            "inspections of a 1 MiB file": _repeat(lambda: inspect_in_child(small), seconds, children),
        }
        uploads = _repeat(lambda: _upload(client, file), seconds, api)
    return {**rates, "uploaded bytes": uploads * UPLOAD_BYTES}


def _progress(bench: Bench, number: int) -> Work:
    hold, steps = bench.holds[number], itertools.count(number, bench.clients)
    values: Mapping[str, Any] = {f"value_{place}": 0.5 for place in range(VALUES)}

    def work() -> None:
        with bench.database.write() as session:
            if not record_progress(session, hold, next(steps), values):
                raise RuntimeError("the job is lost")

    return work


def _heartbeat(bench: Bench, number: int) -> Work:
    def work() -> None:
        with bench.database.write() as session:
            renew_lease(session, bench.holds[number], 3_600)

    return work


def _worker_row(bench: Bench, number: int) -> Work:
    name = f"worker-{number}"
    with bench.database.write() as session:
        register_worker(session, describe_worker(name, "bench.cpu", "cpu", {}, {}))

    def work() -> None:
        with bench.database.write() as session:
            renew_worker(session, name)

    return work


def _wish(bench: Bench, number: int) -> Work:
    def work() -> None:
        with bench.database.read() as session:
            wanted_of(session, bench.holds[number])

    return work


def _follow(bench: Bench, number: int) -> Work:
    seen = 10**9

    def work() -> None:
        read_news(bench.database, bench.holds[number].job_id, seen)

    return work


def _life(bench: Bench, number: int) -> Work:
    """A job's own transactions: submitted, claimed, finished."""

    def work() -> None:
        hold = _submit_and_claim(bench.settings, bench.database, number)
        with bench.database.write() as session:
            finish_job(session, hold, {})

    return work


REGISTRY_WORK: Mapping[str, Callable[[Bench, int], Work]] = {
    "progress records": _progress,
    "heartbeats of jobs": _heartbeat,
    "heartbeats of workers": _worker_row,
    "looks at the user's wish": _wish,
    "looks for a follower": _follow,
    "jobs, from submission to end": _life,
}
"""Every operation that grows with the number of GPUs."""


def meter_of(pid: int) -> Meter:
    """Processor seconds of a process and of its living children."""
    top = psutil.Process(pid)

    def read() -> float:
        spent = 0.0
        for process in (top, *top.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # it has just ended
                times = process.cpu_times()
                spent += times.user + times.system
        return spent

    return read


def children() -> float:
    """Processor seconds of this process's children that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _repeat(work: Work, seconds: float, meter: Meter) -> float:
    work()
    done, begun, ends = 0, meter(), time.monotonic() + MOST_WALL
    while (spent := meter() - begun) < seconds and time.monotonic() < ends:
        work()
        done += 1
    return done / spent


def _await_seconds(meter: Meter, begun: float, seconds: float) -> None:
    ends = time.monotonic() + MOST_WALL
    while meter() - begun < seconds and time.monotonic() < ends:
        time.sleep(0.05)


def _submit_and_claim(settings: Settings, database: Database, number: int) -> Hold:
    _dataset(settings, database)
    job = submit_job(database, settings, _spec()).job
    with database.write() as session:
        claim = claim_job(session, job.id, f"worker-{number}", 3_600)
    if claim is None:
        raise RuntimeError("the job was not there to be claimed")
    return claim.hold


def _dataset(settings: Settings, database: Database) -> None:
    """The shipped bars, once."""
    with database.read() as session:
        if session.connection().exec_driver_sql("SELECT count(*) FROM datasets").scalar():
            return
    declared = Declarations(calendar="XNYS", adjusted="split", volume_unit="shares")
    storage = FolderStorage(settings.artifacts_dir)
    with GOOGL.open("rb") as file:
        accept_dataset(database, storage, settings, file, name="googl", declarations=declared)


def _spec() -> JobSpec:
    small = {"num_envs": 4, "num_steps": 32}
    return JobSpec(
        dataset="googl",
        environment=EnvSpec(RETAIL_COSTS),
        total_timesteps=512,
        hidden_dims=[8],
        lookback=5,
        features=["ret_1", "rsi_14"],
        overrides=small,
    )


def _post_job(client: httpx.Client) -> None:
    costs = {"fee_bps": 5, "half_spread_bps": 1, "slippage": 0.02, "borrow_bps_per_year": 300}
    body = {"dataset": "googl", "total_timesteps": 512, "hidden_dims": [8], "environment": {"costs": costs}}
    client.post("/jobs", json=body).raise_for_status()


def _upload(client: httpx.Client, file: Path) -> None:
    with file.open("rb") as content:
        client.post("/checkpoints", files={"file": (file.name, content)}).raise_for_status()
