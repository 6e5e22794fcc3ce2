"""How fast the registry answers when it is full: `python -m benchmarks.registry [--keep FOLDER] [--mlflow PYTHON]`.

Fills PostgreSQL (of pgserver's wheel, its settings as they come) and SQLite with 100,000 jobs, 10 million metric points
and 100,000 checkpoints (registry_rows.py), starts the real API on each (uvicorn, one process), and asks it over HTTP, one
request after the other, each with values drawn anew: lists with every filter, first and deep pages, jobs, checkpoints,
metrics, diffs. Then times retention and vacuum, and the migrations from before the first that copies data, down and each
up again. `--mlflow` names an interpreter with mlflow: its server is asked what it can be asked, on SQLite, with fewer runs
(--mlflow-runs), since its tables are filled through its own models and its searches slow down as they grow. With `--keep`
the full databases stay in a folder: the next run takes copies of them.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import registry_ask as ask
from benchmarks.registry_rows import Size
from benchmarks.registry_stores import Shelf, analyse, disk_bytes, opened
from benchmarks.registry_upkeep import timed, use_up

GOALS = {"postgresql": 0.050, "sqlite": 0.100}
CLOCKS = ("wall", "processor")


def main() -> int:
    options = parse(sys.argv[1:])
    print(describe_machine())
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="registry-", dir=options.folder) as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as a user of its own
        met = run(Path(folder), options)
    print(f"\nall in {(time.monotonic() - started) / 60:.1f} minutes")
    return 0 if met else 1


def run(folder: Path, options: argparse.Namespace) -> bool:
    """Both databases and, where one is named, MLflow; whether the goals are met."""
    size = Size(options.jobs, options.points, options.checkpoints, options.seed)
    shelf = Shelf(options.keep or folder / "kept", is_kept=options.keep is not None)
    answers: dict[str, ask.Answers] = {}
    for kind in options.databases:
        print(f"\n{kind}")
        with opened(kind, folder, shelf, size) as (url, pid):
            timed("  analysed", lambda url=url: analyse(url))
            print(f"  on disk: {disk_bytes(url) / 1e9:.2f} GB")
            answers[kind] = ask.ask_caliper(url, folder / f"{kind}-service", size, options.requests, pid)
            use_up(url, size)
    if options.mlflow:
        print(f"\nMLflow on SQLite, {options.mlflow_runs:,} runs")
        filled = shelf.mlflow(options.mlflow, options.mlflow_runs, options.mlflow_points)
        answers["mlflow"] = ask.ask_mlflow(options.mlflow, filled, folder, options.mlflow_requests)
    return report(answers)


def report(answers: dict[str, ask.Answers]) -> bool:
    """Two tables with one line a query; whether every p95 is within its goal."""
    for clock in CLOCKS:
        print(
            f"\n{clock} milliseconds, p50 / p95 / p99\n{'':<38}" + "".join(f"{name:>26}" for name in answers)
        )
        for name in dict.fromkeys(name for each in answers.values() for name in each):
            cells = (_percentiles(each.get(name), clock) for each in answers.values())
            print(f"{name:<38}" + "".join(f"{cell:>26}" for cell in cells))
    if "mlflow" not in answers:
        print("MLflow: not run")
    judged = [_judge(answers[kind], kind, clock) for kind in GOALS if kind in answers for clock in CLOCKS]
    return all(judged)


def _judge(answers: ask.Answers, kind: str, clock: str) -> bool:
    slowest, name = max((ask.percentile(_seconds(each, clock), 95), name) for name, each in answers.items())
    met = slowest < GOALS[kind]
    verdict = "met" if met else "MISSED"
    print(
        f"{kind}, {clock}: slowest p95 {1e3 * slowest:.1f} ms ({name}); goal {1e3 * GOALS[kind]:.0f} ms: {verdict}"
    )
    return met


def _seconds(answers: list[ask.Answer], clock: str) -> list[float]:
    return [getattr(each, clock) for each in answers]


def describe_machine() -> str:
    """Processor, versions, load."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.split(":", 1)[1].strip() for line in lines if "model name" in line), platform.processor()
    )
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} CPUs; Python {platform.python_version()}; load average {load:.1f}"


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--points", type=int, default=10_000_000, help="metric points of all jobs together")
    parser.add_argument("--checkpoints", type=int, default=100_000, help="those that are not deleted, about")
    parser.add_argument("--requests", type=int, default=100, help="requests of each query")
    parser.add_argument("--databases", nargs="+", choices=GOALS, default=list(GOALS))
    parser.add_argument("--mlflow", metavar="PYTHON", help="an interpreter with mlflow; left out: not run")
    parser.add_argument("--mlflow-runs", type=int, default=10_000)
    parser.add_argument("--mlflow-points", type=int, default=1_000_000)
    parser.add_argument("--mlflow-requests", type=int, default=30, help="requests of each query to MLflow")
    parser.add_argument(
        "--keep", type=Path, help="where the full databases stay for the next run, about 11 GB"
    )
    parser.add_argument("--folder", type=Path, help="where the databases lie while it runs, about 12 GB")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(arguments)


def _percentiles(answers: list[ask.Answer] | None, clock: str) -> str:
    if answers is None:
        return "-"
    seconds = _seconds(answers, clock)
    return " / ".join(f"{1e3 * ask.percentile(seconds, share):.1f}" for share in (50, 95, 99))


if __name__ == "__main__":
    sys.exit(main())
