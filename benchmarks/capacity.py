"""How far one node goes: `python -m benchmarks.capacity [--seconds 3] [--clients 4]`.

Measures what a registry (SQLite, and PostgreSQL of pgserver's wheel with its settings as they come), an API process and
Redis do with one core on this machine, and sets against it what 10, 1,000 and 100,000 GPUs ask of them, under the
assumptions that it prints. The cores that each kind of work takes say what saturates first: SQLite has one writer and so
at most one core's worth; PostgreSQL, API processes and Redis have as many as they are given, Redis one.
"""

import argparse
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from benchmarks.capacity_rates import VALUES, measure_registry, measure_service, meter_of
from benchmarks.chaos_stack import Postgres

SIZES = (10, 1_000, 100_000)
"""GPUs that are computed for."""


@dataclass(frozen=True)
class Assumptions:
    """What a GPU does; the service's own figures stand in worker/run.py, worker/supervise.py and the settings."""

    job_hours: float = 2.0
    """Length of a job."""
    heartbeat_seconds: float = 10.0
    """Between two heartbeats of a job, and of a worker."""
    wish_seconds: float = 0.5
    """Between two looks of a supervisor at its job's row."""
    progress_seconds: float = 0.5
    """Between two progress records at first."""
    progress_seconds_max: float = 10.0
    """And after hours."""
    progress_records: float = 2_000.0
    """Records after which the time between them begins to grow with the run's."""
    checkpoint_seconds: float = 300.0
    """Between two checkpoints."""
    checkpoint_bytes: float = 50e6
    """Size of a checkpoint with its optimizer: 4 million parameters."""
    followed_jobs: float = 0.1
    """Share of the running jobs that somebody follows."""
    feed_seconds: float = 0.5
    """Between two looks for a followed job, however many follow it."""
    requests_per_gpu: float = 1 / 60
    """Short requests of people and programs, a second and GPU."""
    link_bytes: float = 1.25e9
    """What a node that stores artifacts takes in a second: a network of 10 Gbit/s; assumed, not measured."""
    uploads_per_day: float = 0.1
    """Checkpoints that people upload, a day and GPU."""

    def progress_per_second(self) -> float:
        """Progress records a second of a running job, on average over its length (worker/run.py: progress_pause)."""
        length = self.job_hours * 3_600
        early = self.progress_seconds * self.progress_records
        late = min(length, self.progress_seconds_max * self.progress_records)
        if length <= early:
            return 1 / self.progress_seconds
        grown = self.progress_records * (1 + math.log(late / early))
        return (grown + (length - late) / self.progress_seconds_max) / length


@dataclass(frozen=True)
class Load:
    """What a GPU asks of the service in a second."""

    jobs: float
    progress: float
    heartbeats: float
    wishes: float
    looks: float
    requests: float
    stored_bytes: float
    uploaded_bytes: float
    link_bytes: float
    """Not asked for, but there: what a node that stores takes."""


@dataclass(frozen=True)
class Share:
    """A kind of work at a size: how much there is, and how many cores it takes."""

    part: str
    work: str
    demand: float
    rate: float

    @property
    def cores(self) -> float:
        """Cores that it takes."""
        return self.demand / self.rate


def load_of(given: Assumptions) -> Load:
    """What a GPU that always trains asks in a second."""
    jobs = 1 / (given.job_hours * 3_600)
    return Load(
        jobs=jobs,
        progress=given.progress_per_second() + 1 / given.checkpoint_seconds,
        heartbeats=1 / given.heartbeat_seconds,
        wishes=1 / given.wish_seconds,
        looks=given.followed_jobs / given.feed_seconds,
        requests=given.requests_per_gpu,
        stored_bytes=given.checkpoint_bytes / given.checkpoint_seconds,
        uploaded_bytes=given.checkpoint_bytes * given.uploads_per_day / 86_400,
        link_bytes=given.link_bytes,
    )


def shares(gpus: int, load: Load, registry: Mapping[str, float], service: Mapping[str, float]) -> list[Share]:
    """Every kind of work at this size, the one that takes most first."""
    rows = [
        Share("registry", "progress records", load.progress, registry["progress records"]),
        Share("registry", "heartbeats of jobs", load.heartbeats, registry["heartbeats of jobs"]),
        Share("registry", "heartbeats of workers", load.heartbeats, registry["heartbeats of workers"]),
        Share("registry", "looks at the user's wish", load.wishes, registry["looks at the user's wish"]),
        Share("registry", "looks for followers", load.looks, registry["looks for a follower"]),
        Share(
            "registry", "jobs, from submission to end", load.jobs, registry["jobs, from submission to end"]
        ),
        Share("API process", "short requests", load.requests, service["short requests"]),
        Share("API process", "jobs submitted", load.jobs, service["jobs submitted over HTTP"]),
        Share("API process", "uploaded bytes", load.uploaded_bytes, service["uploaded bytes"]),
        Share("Redis", "messages", load.jobs, service["messages to Redis"]),
        Share("storage", "checkpoint bytes", load.stored_bytes, load.link_bytes),
    ]
    grown = [Share(row.part, row.work, row.demand * gpus, row.rate) for row in rows]
    return sorted(grown, key=lambda row: -row.cores)


def busy_parts(rows: list[Share]) -> dict[str, float]:
    """Cores that each part takes, the busiest first."""
    parts: dict[str, float] = {}
    for row in rows:
        parts[row.part] = parts.get(row.part, 0.0) + row.cores
    return dict(sorted(parts.items(), key=lambda each: -each[1]))


def most_gpus(load: Load, registry: Mapping[str, float], service: Mapping[str, float], share: float) -> int:
    """GPUs at which the busiest part takes this share of one core."""
    return int(share / max(busy_parts(shares(1, load, registry, service)).values()))


def report(
    given: Assumptions, registries: Mapping[str, Mapping[str, float]], service: Mapping[str, float]
) -> None:
    """Print assumptions, rates and tables."""
    load = load_of(given)
    print("\nAssumed")
    for field in fields(given):
        print(f"  {field.name:<22} {getattr(given, field.name):>14,.4g}")
    print(
        f"  progress records a second and job, on average: {given.progress_per_second():.2f}, {VALUES} values each"
    )
    print("\nMeasured, a processor second of one core")
    for name, rates in (*registries.items(), ("one API process, Redis, reader", service)):
        print(f"  {name}")
        for work, rate in rates.items():
            print(f"    {work:<34} {rate:>14,.0f}")
    for name, rates in registries.items():
        print(f"\n{name}")
        for gpus in SIZES:
            _print_size(gpus, load, shares(gpus, load, rates, service))
        print(f"  the busiest part takes half a core at {most_gpus(load, rates, service, 0.5):,} GPUs")


def _print_size(gpus: int, load: Load, rows: list[Share]) -> None:
    parts = busy_parts(rows)
    points, stored = gpus * load.progress * VALUES, gpus * load.stored_bytes
    print(
        f"\n  {gpus:,} GPUs: {gpus * load.jobs:,.3g} jobs, {points:,.0f} points, {stored / 1e6:,.1f} MB stored a second"
    )
    for row in rows:
        print(
            f"    {row.part:<12} {row.work:<30} {row.demand:>14,.4g} of {row.rate:>14,.0f}  {row.cores:>10,.3f}"
        )
    print("    cores: " + ", ".join(f"{part} {cores:.3g}" for part, cores in parts.items()))
    first, cores = next(iter(parts.items()))
    print(
        f"    saturates first: {first}"
        + (f" ({cores:,.1f} cores)" if cores > 1 else f", one core of it at {1 / cores:,.1f} times this size")
    )


def describe_machine() -> str:
    """The machine and how busy it is."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"{os.cpu_count()} x {model}, Python {platform.python_version()}; load averages at the start: {load}"
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="processor time that each kind of work is given"
    )
    parser.add_argument("--clients", type=int, default=4, help="clients of PostgreSQL at once")
    options = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory(prefix="capacity-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        file = f"sqlite:///{folder}/registry.db"
        sqlite = measure_registry(file, folder / "sqlite", 1, options.seconds, time.process_time)
        postgres = Postgres(folder / "pg")
        try:
            meter = meter_of(int((folder / "pg" / "data" / "postmaster.pid").read_text().split()[0]))
            server = measure_registry(
                postgres.url, folder / "postgres", options.clients, options.seconds, meter
            )
        finally:
            postgres.end()
        (folder / "service").mkdir()
        service = measure_service(folder / "service", options.seconds)
    registries = {"SQLite, one client": sqlite, f"PostgreSQL, {options.clients} clients": server}
    report(Assumptions(), registries, service)
    return 0


if __name__ == "__main__":
    sys.exit(main())
