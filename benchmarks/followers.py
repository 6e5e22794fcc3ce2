"""A crowd follows one running job: what everybody gets, what it costs, and what others notice of it.

    python -m benchmarks.followers [--followers 1000] [--events 200] [--per-second 10]

Starts a real API process, opens so many connections to GET /jobs/{id}/events, and lets events happen to the job as a
worker writes them. Prints what the API process takes in memory and open files, how often the registry was read for the
followers (its own counter), how late events arrive, and how long GET /estimate and /healthz take meanwhile.
"""

import argparse
import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from app.api.open_files import allow_open_files
from app.client.events import EventReader
from app.jobs.lifecycle import Outcome
from app.registry.attempts import Hold, claim_job, fail_job
from app.registry.database import Database, new_id
from app.registry.events import record_event
from app.registry.jobs import add_job
from app.registry.tables import Dataset, Job, utc_now
from benchmarks.api_process import ApiProcess, make_settings, running_api

MIB = 1 << 20
ESTIMATE = "/estimate?obs_dim=5300&hidden=512,256,128&action_dim={}"
ASK_SECONDS = 0.2
"""Time between two questions of somebody who follows nothing."""


@dataclass
class Follower:
    """What one connection was sent."""

    numbers: list[int] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    """Seconds between the writing of an event and its arrival."""


@dataclass
class Crowd:
    """What was measured."""

    followers: list[Follower]
    events: int
    reads: float = 0.0
    seconds: float = 0.0
    before: int = 0
    during: int = 0
    after: int = 0
    open_files: int = 0
    asked: dict[str, list[float]] = field(default_factory=dict)
    """Path -> seconds of each answer while the crowd listened."""
    left: float = -1.0
    """Followers that the service still counts when all are gone."""

    @property
    def is_whole(self) -> bool:
        """Whether everybody got every event once and in order."""
        return all(each.numbers == list(range(1, self.events + 1)) for each in self.followers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--followers", type=int, default=1_000)
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--per-second", type=float, default=10.0)
    given = parser.parse_args()
    print(
        f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}; followers and service share "
        f"the machine, load average {os.getloadavg()[0]:.1f}"
    )
    allow_open_files(given.followers + 256)
    with tempfile.TemporaryDirectory(prefix="caliper-crowd-") as folder:
        settings = make_settings(
            Path(folder),
            max_followers=given.followers,
            requests_per_second=1_000_000,
            requests_burst=1_000_000,
        )
        with running_api(settings, Path(folder) / "api.log") as api:
            crowd = asyncio.run(measure(api, given.followers, given.events, given.per_second))
            traces = api.traces()
    report(crowd, traces)
    sys.exit(0 if crowd.is_whole and not traces and crowd.left == 0 else 1)


async def measure(api: ApiProcess, followers: int, events: int, per_second: float) -> Crowd:
    """Let the crowd follow a job of so many events."""
    crowd = Crowd([Follower() for _ in range(followers)], events, before=api.resident_bytes())
    with closing(Database(api.settings.database_url)) as database:
        hold = await asyncio.to_thread(start_job, database)
        listening = [asyncio.create_task(listen(api, hold.job_id, each)) for each in crowd.followers]
        async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=60) as client:
            await reached(client, "caliper_followers", followers)
            crowd.during, crowd.open_files = api.resident_bytes(), api.open_files()
            reads, started = await metric(client, "caliper_follower_reads_total"), time.monotonic()
            async with asking(client, crowd):
                await happen(database, hold, events, per_second)
                await asyncio.gather(*listening)
            crowd.seconds = time.monotonic() - started
            crowd.reads = await metric(client, "caliper_follower_reads_total") - reads
            await reached(client, "caliper_followers", 0)
            crowd.left, crowd.after = await metric(client, "caliper_followers"), api.resident_bytes()
    return crowd


def start_job(database: Database) -> Hold:
    """A job that a worker has: two events have happened to it."""
    at = utc_now()
    dataset = Dataset(
        id=new_id("dataset"),
        name="bars",
        sha256="a" * 64,
        file_sha256="b" * 64,
        rows=1,
        bar_seconds=60,
        starts_at=at,
        ends_at=at,
        declarations={},
        report={},
    )
    job = Job(
        id=new_id("job"),
        name="followed",
        dataset_id=dataset.id,
        spec={},
        config={},
        reasons={},
        estimate={},
        hidden_dims="8",
        obs_dim=5,
        tier="cpu",
        queue="caliper.cpu",
        predicted_bytes=1,
        state="queued",
    )
    with database.write() as session:
        session.add(dataset)
        session.flush()
        add_job(session, job)
    with database.write() as session:
        claim = claim_job(session, job.id, "benchmark", 3_600)
    assert claim is not None
    return claim.hold


async def happen(database: Database, hold: Hold, events: int, per_second: float) -> None:
    """Write events as a trainer does, the last of which ends the job."""
    for _ in range(events - 3):
        await asyncio.to_thread(_write, database, hold)
        await asyncio.sleep(1 / per_second)
    await asyncio.to_thread(_end, database, hold)


def _write(database: Database, hold: Hold) -> None:
    with database.write() as session:
        record_event(
            session, hold.job_id, "progress", {"written": time.time(), "policy_loss": 0.1, "step": 128}
        )


def _end(database: Database, hold: Hold) -> None:
    with database.write() as session:
        fail_job(session, hold, {"detail": "the benchmark ends it"}, Outcome.FAILED)


async def listen(api: ApiProcess, job_id: str, follower: Follower) -> None:
    """Follow over a plain socket until the stream ends."""
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET /jobs/{job_id}/events HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    events = EventReader()
    async for line in reader:
        event = events.feed(line.decode().rstrip("\r\n"))
        if event is not None:
            follower.numbers.append(event.id)
            if "written" in event.data:
                follower.late.append(time.time() - event.data["written"])
    writer.close()


@asynccontextmanager
async def asking(client: httpx.AsyncClient, crowd: Crowd) -> AsyncIterator[None]:
    """Ask for other things all the while, an estimate that was not asked for before each time."""

    async def ask() -> None:
        number = 2
        while True:
            for name, path in (("/estimate", ESTIMATE.format(number)), ("/healthz", "/healthz")):
                started = time.perf_counter()
                (await client.get(path)).raise_for_status()
                crowd.asked.setdefault(name, []).append(time.perf_counter() - started)
            number = number % 9_000 + 1
            await asyncio.sleep(ASK_SECONDS)

    task = asyncio.create_task(ask())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            raise error


async def reached(client: httpx.AsyncClient, name: str, value: float) -> None:
    """Wait until a metric has this value."""
    async with asyncio.timeout(120):
        while await metric(client, name) != value:  # noqa: ASYNC110 - another process has it
            await asyncio.sleep(0.1)


async def metric(client: httpx.AsyncClient, name: str) -> float:
    """One of the service's own measurements."""
    text = (await client.get("/metrics")).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def report(crowd: Crowd, traces: int) -> None:
    """Print the table."""
    count = len(crowd.followers)
    late = sorted(seconds for each in crowd.followers for seconds in each.late)
    print(
        f"{count:,} followers, {crowd.events:,} events each in {crowd.seconds:.1f} s: "
        f"{'everybody got every event once and in order' if crowd.is_whole else 'EVENTS ARE MISSING'}"
    )
    print(f"{'deliveries a second':<44}{count * crowd.events / crowd.seconds:>12,.0f}")
    print(f"{'looks into the registry a second':<44}{crowd.reads / crowd.seconds:>12.1f}")
    print(f"{'resident before, MiB':<44}{crowd.before / MIB:>12.1f}")
    print(f"{'resident with the crowd, MiB':<44}{crowd.during / MIB:>12.1f}")
    print(f"{'memory a follower, KiB':<44}{(crowd.during - crowd.before) / 1024 / count:>12.1f}")
    print(f"{'resident when all have left, MiB':<44}{crowd.after / MIB:>12.1f}")
    print(f"{'open files with the crowd':<44}{crowd.open_files:>12,}")
    print(f"{'followers counted when all have left':<44}{crowd.left:>12.0f}")
    print(f"{'an event arrives after: p50, p95, max, s':<44}{spread(late)}")
    for path, seconds in crowd.asked.items():
        print(
            f"{f'{path} meanwhile: p50, p95, max, s':<44}{spread(sorted(seconds))}   ({len(seconds)} asked)"
        )
    print(f"{'traces in the log':<44}{traces:>12}")


def spread(ordered: list[float]) -> str:
    """Median, 95th percentile and largest."""
    if not ordered:
        return "nothing"
    return f"{statistics.median(ordered):>12.3f}{ordered[int(len(ordered) * 0.95)]:>9.3f}{ordered[-1]:>9.3f}"


if __name__ == "__main__":
    main()
