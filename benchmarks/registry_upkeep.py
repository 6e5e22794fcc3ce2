"""How long the upkeep of a full registry takes: retention, vacuum, migrations."""

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.actions.tidy_registry import compact_registry, tidy_registry
from app.registry.database import MIGRATIONS, Database, migrate
from app.settings import Settings
from benchmarks.registry_rows import START, Size

Done = TypeVar("Done")

BEFORE_COPYING = "0006"
"""The revision before the first migration that copies data."""
OLD_SHARE = 10
"""One of so many jobs has ended long enough ago for retention."""
KEPT_POINTS = 5
"""Points that a curve keeps: fewer than by default, for most of these jobs are short."""


def use_up(url: str, size: Size) -> None:
    """Retention, vacuum and migrations, which leave another database than they found."""
    migrate_again(url)
    database = Database(url)
    try:
        tidy(database, size)
        timed("  vacuum, which gives the space back to the disk,", lambda: compact_registry(database))
    finally:
        database.close()


def tidy(database: Database, size: Size) -> None:
    """Thin the oldest jobs' curves, with the pauses that a running service makes."""
    settings = Settings(data_dir=Path("unused"), kept_points=KEPT_POINTS)
    age = timedelta(seconds=15 * size.jobs // OLD_SHARE, days=settings.keep_points_days)
    started = time.monotonic()
    count = tidy_registry(database, settings, now=START + age, turn_seconds=None)
    seconds = time.monotonic() - started
    rate = f"{count.jobs / seconds:,.0f} jobs and {count.points / seconds:,.0f} points a second"
    print(
        f"  retention: {count.jobs:,} jobs lost {count.points:,} points in {seconds:.1f} s, {rate}",
        flush=True,
    )


def migrate_again(url: str) -> None:
    """Undo the migrations back to the one before the first that copies data, and do each again."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    timed(f"  migrated down to {BEFORE_COPYING}", lambda: command.downgrade(config, BEFORE_COPYING))
    script = ScriptDirectory(str(MIGRATIONS))
    for step in reversed(list(script.iterate_revisions("head", BEFORE_COPYING))):
        revision = step.revision
        timed(f"  migration {revision}", lambda revision=revision: migrate(url, revision))


def timed(what: str, work: Callable[[], Done]) -> Done:
    """Do it and print how long it took."""
    started = time.monotonic()
    done = work()
    print(f"{what} in {time.monotonic() - started:.1f} s", flush=True)
    return done
