"""How fast the registry answers when it is full: `python benchmarks/registry.py [--mlflow PYTHON]`.

Fills PostgreSQL (of pgserver's wheel, its settings as they come) and SQLite with 100,000 jobs, 10 million metric points
and 100,000 checkpoints (registry_rows.py), starts the real API on each (uvicorn, one process), and asks it over HTTP, one
request after the other, each with values drawn anew: lists with every filter, first and deep pages, jobs, checkpoints,
metrics, diffs. Then times the last migration that copies data, down and up again. `--mlflow` names an interpreter with mlflow: its server is
asked what it can be asked, on SQLite, with fewer runs (--mlflow-runs), since its tables are filled through its own models
and its searches slow down as they grow.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, make_url, text

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.registry.database import MIGRATIONS, Database, migrate
from benchmarks import registry_ask as ask
from benchmarks.registry_rows import Size, fill
from benchmarks.registry_template import make_template

Done = TypeVar("Done")

GOALS = {"postgresql": 0.050, "sqlite": 0.100}
CLOCKS = ("wall", "processor")
BEFORE_COPYING = "0006"
"""The revision before the last migration that copies data, not only makes indexes."""


def main() -> int:
    options = parse(sys.argv[1:])
    print(describe_machine())
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="registry-", dir=options.folder) as folder:
        met = run(Path(folder), options)
    print(f"\nall in {(time.monotonic() - started) / 60:.1f} minutes")
    return 0 if met else 1


def run(folder: Path, options: argparse.Namespace) -> bool:
    """Both databases and, where one is named, MLflow; whether the goals are met."""
    size = Size(options.jobs, options.points, options.checkpoints, options.seed)
    template = timed("one job submitted, trained and read back", lambda: make_template(folder / "template"))
    answers: dict[str, ask.Answers] = {}
    for kind in options.databases:
        with opened(kind, folder) as url:
            print(f"\n{kind}")
            timed("  migrated", lambda url=url: migrate(url))
            engine = Database(url).engine
            counts = timed("  filled", lambda engine=engine: fill(engine, template, size))
            timed("  analysed", lambda engine=engine: analyse(engine))
            print("  " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
            print(f"  on disk: {disk_bytes(url) / 1e9:.2f} GB")
            engine.dispose()
            answers[kind] = ask.ask_caliper(
                url, folder / f"{kind}-service", size, options.requests, server_pid(folder, kind)
            )
            timed(f"  migrated down to {BEFORE_COPYING}", lambda url=url: step_down(url))
            timed("  migrated up again", lambda url=url: migrate(url))
            if kind == "sqlite":
                Path(url.removeprefix("sqlite:///")).unlink()
    if options.mlflow:
        print(f"\nMLflow on SQLite, {options.mlflow_runs:,} runs")
        answers["mlflow"] = ask.ask_mlflow(
            options.mlflow, folder / "mlflow", options.mlflow_runs, options.mlflow_points, options.requests
        )
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


def timed(what: str, work: Callable[[], Done]) -> Done:
    """Do it and print how long it took."""
    started = time.monotonic()
    done = work()
    print(f"{what} in {time.monotonic() - started:.1f} s", flush=True)
    return done


@contextmanager
def opened(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database of this kind."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/registry.db"
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pgserver  # noqa: PLC0415 - not needed for SQLite alone
    folder.chmod(0o755)  # its server runs as a user of its own
    server = pgserver.get_server(folder / "postgresql", cleanup_mode="delete")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    finally:
        server.cleanup()


def server_pid(folder: Path, kind: str) -> int | None:
    """The database's own server process; None for SQLite, which has none."""
    if kind == "sqlite":
        return None
    return int((folder / "postgresql" / "postmaster.pid").read_text().split()[0])


def analyse(engine: Engine) -> None:
    """What PostgreSQL's autovacuum does within minutes, and SQLite's `caliper registry tidy`."""
    statement = "ANALYZE" if engine.dialect.name == "sqlite" else "VACUUM ANALYZE"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(statement)


def disk_bytes(url: str) -> int:
    """Size of the database's files."""
    if url.startswith("sqlite"):
        return Path(str(make_url(url).database)).stat().st_size
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
    engine.dispose()
    return int(found)


def step_down(url: str) -> None:
    """Undo the last migration that copies data, and those after it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    command.downgrade(config, BEFORE_COPYING)


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
