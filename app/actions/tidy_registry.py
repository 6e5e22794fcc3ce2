"""Let go of what long ended jobs need no more: points between the kept ones, then their logs; and of the old audit."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.registry.audit import drop_entries
from app.registry.database import Database, Session
from app.registry.retention import (
    Tidied,
    drop_log,
    jobs_to_tidy,
    mark_tidied,
    refresh_statistics,
    rewrite_compactly,
    thin_curves,
    thin_progress,
)
from app.registry.tables import utc_now
from app.settings import Settings

TIDY_SECONDS = 3_600.0
"""Time between two sweeps of a running service."""
TURN_SECONDS = 60.0
"""How long one sweep of a running service goes on; the next one takes up where it ended."""
BATCH_ROWS = 2_000
"""Rows deleted in one transaction."""
BATCH_JOBS = 200
"""Jobs looked up at once."""

Step = Callable[[Session, int], int]
"""Deletes up to so many rows and says how many; 0 when there are none left."""


@dataclass(slots=True)
class TidyCount:
    """What was let go."""

    jobs: int = 0
    """Jobs of which something could go."""
    points: int = 0
    """Points of curves."""
    events: int = 0
    """Progress events."""
    log_lines: int = 0
    """Lines of logs."""
    audit: int = 0
    """Entries of the audit."""


def tidy_registry(
    database: Database,
    settings: Settings,
    *,
    now: datetime | None = None,
    turn_seconds: float | None = TURN_SECONDS,
) -> TidyCount:
    """Thin the curves and drop the logs that are past their time, in short transactions with pauses between.

    Ends after about `turn_seconds`; None: not before all is done. `now` is the present, for tests.
    """
    present = now or utc_now()
    deadline = None if turn_seconds is None else time.monotonic() + turn_seconds
    count = TidyCount()
    old = present - timedelta(days=settings.keep_audit_days)
    count.audit = _repeat(database, lambda session, most: drop_entries(session, old, most))
    for level, days in ((Tidied.POINTS, settings.keep_points_days), (Tidied.LOGS, settings.keep_logs_days)):
        before = present - timedelta(days=days)
        while job_ids := _due(database, level, before):
            for job_id in job_ids:
                if deadline is not None and time.monotonic() > deadline:
                    return count
                _tidy_job(database, settings, job_id, level, count)
    if count.points + count.events + count.log_lines:
        refresh_statistics(database)
    return count


def compact_registry(database: Database) -> None:
    """Tell the planner how full the tables are and give freed space back to the disk; writers wait meanwhile."""
    rewrite_compactly(database)
    refresh_statistics(database)


def _due(database: Database, level: Tidied, before: datetime) -> list[str]:
    with database.read() as session:
        return list(jobs_to_tidy(session, level, before, BATCH_JOBS))


def _tidy_job(database: Database, settings: Settings, job_id: str, level: Tidied, count: TidyCount) -> None:
    keep = settings.kept_points
    if level is Tidied.POINTS:
        count.points += _repeat(database, lambda session, most: thin_curves(session, job_id, keep, most))
        count.events += _repeat(database, lambda session, most: thin_progress(session, job_id, keep, most))
    else:
        count.log_lines += _repeat(database, lambda session, most: drop_log(session, job_id, most))
    with database.write() as session:
        mark_tidied(session, job_id, level)
    count.jobs += 1


def _repeat(database: Database, step: Step) -> int:
    """Batch after batch until nothing is left; the registry is free for as long as a batch has held it."""
    total = 0
    while True:
        started = time.monotonic()
        with database.write() as session:
            deleted = step(session, BATCH_ROWS)
        if not deleted:
            return total
        total += deleted
        time.sleep(time.monotonic() - started)
