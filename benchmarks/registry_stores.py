"""Full databases: filled once, kept on a shelf where one is named, opened as they are or as copies."""

import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, make_url, text

from app.registry.database import MIGRATIONS, Database, migrate
from benchmarks.registry_ask import fill_mlflow
from benchmarks.registry_rows import Size, fill
from benchmarks.registry_template import make_template
from benchmarks.registry_upkeep import timed

FULL, WORK = "caliper_full", "caliper_work"
"""The PostgreSQL database that stays as it was filled, and the one that is asked."""


@dataclass(frozen=True)
class Shelf:
    """A folder of full databases, each with a note of what it holds."""

    folder: Path
    is_kept: bool
    """Whether others will want them as they are."""

    def place(self, kind: str, what: dict[str, Any]) -> tuple[Path, bool]:
        """Where this kind lies, and whether it is there and holds just this; else the place is emptied."""
        place = self.folder / kind
        note = place / "holds.json"
        if note.exists() and json.loads(note.read_text()) == what:
            return place, True
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True, mode=0o755)
        return place, False

    def note(self, kind: str, what: dict[str, Any]) -> None:
        """Note that it is whole."""
        (self.folder / kind / "holds.json").write_text(json.dumps(what))

    def mlflow(self, python: str, runs: int, points: int) -> tuple[str, str, str, int]:
        """URI, experiment and a run's id of a full MLflow store, and its number of runs."""
        what = {"runs": runs, "points": points}
        place, is_there = self.place("mlflow", what)
        facts = place / "facts.json"
        if not is_there:
            told = timed("  filled", lambda: fill_mlflow(python, place, runs, points))
            facts.write_text(json.dumps(told))
            self.note("mlflow", what)
        experiment, run_id, written = json.loads(facts.read_text())
        print(f"  {runs:,} runs, {int(written):,} metric points")
        return f"sqlite:///{place}/mlflow.db", experiment, run_id, runs


@contextmanager
def opened(kind: str, folder: Path, shelf: Shelf, size: Size) -> Iterator[tuple[str, int | None]]:
    """The URL of a full database that may be changed, and the pid of its server, where it has one."""
    what = {**asdict(size), "revision": head_revision()}
    place, is_there = shelf.place(kind, what)
    open_one = _open_sqlite if kind == "sqlite" else _open_postgresql
    with open_one(place) as (full, copy, pid):
        if not is_there:
            fill_one(full, folder, size)
            shelf.note(kind, what)
        if shelf.is_kept:
            yield timed("  copied", lambda: copy(folder)), pid
        else:
            yield full, pid


def fill_one(url: str, folder: Path, size: Size) -> None:
    """All tables and rows."""
    shutil.rmtree(folder / "template", ignore_errors=True)
    template = timed("  one job submitted, trained and read back", lambda: make_template(folder / "template"))
    timed("  migrated", lambda: migrate(url))
    database = Database(url)
    counts = timed("  filled", lambda: fill(database.engine, template, size))
    database.close()
    print("  " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))


def head_revision() -> str:
    """The newest migration."""
    return str(ScriptDirectory(str(MIGRATIONS)).get_current_head())


def analyse(url: str) -> None:
    """What PostgreSQL's autovacuum does within minutes, and SQLite's `caliper registry tidy`."""
    database = Database(url)
    database.run_alone("ANALYZE" if database.is_sqlite else "VACUUM (ANALYZE)")
    database.close()


def disk_bytes(url: str) -> int:
    """Size of the database's files."""
    if url.startswith("sqlite"):
        return Path(str(make_url(url).database)).stat().st_size
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
    engine.dispose()
    return int(found)


@contextmanager
def _open_sqlite(place: Path) -> Iterator[tuple[str, Any, None]]:
    def copy(folder: Path) -> str:
        shutil.copyfile(place / "registry.db", folder / "registry.db")
        return f"sqlite:///{folder}/registry.db"

    yield f"sqlite:///{place}/registry.db", copy, None


@contextmanager
def _open_postgresql(place: Path) -> Iterator[tuple[str, Any, int]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pgserver  # noqa: PLC0415 - not needed for SQLite alone
    server = pgserver.get_server(place / "data", cleanup_mode="stop")
    admin = Database(_url_of(server, "postgres"))

    def copy(_folder: Path) -> str:
        admin.run_alone(
            f"DROP DATABASE IF EXISTS {WORK}", f"CREATE DATABASE {WORK} TEMPLATE {FULL} STRATEGY FILE_COPY"
        )
        return _url_of(server, WORK)

    try:
        with admin.read() as session:
            known = session.scalar(
                text("SELECT count(*) FROM pg_database WHERE datname = :name"), {"name": FULL}
            )
        if not known:
            admin.run_alone(f"CREATE DATABASE {FULL}")
        yield _url_of(server, FULL), copy, int((place / "data" / "postmaster.pid").read_text().split()[0])
        admin.run_alone(f"DROP DATABASE IF EXISTS {WORK}")
    finally:
        admin.close()
        server.cleanup()


def _url_of(server: Any, name: str) -> str:
    return str(server.get_uri(name)).replace("postgresql://", "postgresql+psycopg://")
