"""What may go once a job has long ended: most points of its curves, then its log. What it reached stays.

Every function deletes a bounded number of rows, so that its transaction is short and writers wait little.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.jobs.lifecycle import ENDED
from app.registry.database import Database
from app.registry.tables import Event, Job, Metric


class Tidied(IntEnum):
    """How much of an ended job was let go, as `Job.tidied` has it."""

    NOTHING = 0
    POINTS = 1
    LOGS = 2


def jobs_to_tidy(session: Session, level: Tidied, ended_before: datetime, limit: int) -> Sequence[str]:
    """Ids of jobs that ended before this time and are one step short of `level`, the longest ended first."""
    due = select(Job.id).where(Job.tidied == level - 1, Job.ended_at < ended_before, Job.state.in_(ENDED))
    return session.scalars(due.order_by(Job.ended_at).limit(limit)).all()


def thin_curves(session: Session, job_id: str, keep: int, limit: int) -> int:
    """Delete up to `limit` points of series that have more than `keep`; how many. 0: none has more.

    The run is cut into `keep` - 1 stretches of equal steps. The last point of each stays, and the series'
    first: series that were measured at the same steps keep the same ones.
    """
    own = Metric.job_id == job_id
    long = select(Metric.name).where(own).group_by(Metric.name).having(func.count() > keep)
    names = session.scalars(long.order_by(Metric.name)).all()
    bounds = session.execute(select(func.min(Metric.step), func.max(Metric.step)).where(own)).one()
    deleted = 0
    for name in names if _is_ended(session, job_id) else ():
        series = (own, Metric.name == name)
        deleted += _thin(session, Metric.step, series, (bounds[0], bounds[1]), keep, limit - deleted)
        if deleted >= limit:
            break
    return deleted


def thin_progress(session: Session, job_id: str, keep: int, limit: int) -> int:
    """Delete up to `limit` progress events of a job that has more than `keep`, evenly; how many."""
    own = (Event.job_id == job_id, Event.kind == "progress")
    count, first, last = session.execute(
        select(func.count(), func.min(Event.seq), func.max(Event.seq)).where(*own)
    ).one()
    if count <= keep or not _is_ended(session, job_id):
        return 0
    return _thin(session, Event.seq, own, (first, last), keep, limit)


def drop_log(session: Session, job_id: str, limit: int) -> int:
    """Delete up to `limit` lines of an ended job's log; how many. What its state became stays readable."""
    if not _is_ended(session, job_id):
        return 0
    # The newest event stays whatever it is: followers know by its number that they have seen all.
    newest = select(Job.last_event).where(Job.id == job_id).scalar_subquery()
    own = (Event.job_id == job_id, Event.kind == "log")
    lines = select(Event.seq).where(*own, Event.seq < newest).order_by(Event.seq).limit(limit)
    return _delete(session, Event.seq, own, lines.scalar_subquery())


def mark_tidied(session: Session, job_id: str, level: Tidied) -> None:
    """Note what was let go; a job that was resumed meanwhile keeps its own count."""
    ended = update(Job).where(Job.id == job_id, Job.state.in_(ENDED), Job.tidied == level - 1)
    session.execute(ended.values(tidied=int(level)))


def refresh_statistics(database: Database) -> None:
    """Let the planner know how full the tables are; PostgreSQL also frees what was deleted, without locking."""
    if database.is_sqlite:
        # A sample of each index suffices to rank them, and takes milliseconds on tables of any size.
        database.run_alone("PRAGMA analysis_limit=1000", "ANALYZE")
    else:
        database.run_alone("VACUUM (ANALYZE)")


def rewrite_compactly(database: Database) -> None:
    """Give freed space back to the disk; writers wait meanwhile, and SQLite needs the file's size once more."""
    database.run_alone("VACUUM" if database.is_sqlite else "VACUUM (FULL, ANALYZE)")


def _is_ended(session: Session, job_id: str) -> bool:
    """Whether the job still has ended; locks its row, so that nobody resumes it meanwhile."""
    ended = select(Job.id).where(Job.id == job_id, Job.state.in_(ENDED))
    return session.execute(ended.with_for_update()).first() is not None


def _thin(
    session: Session,
    place: InstrumentedAttribute[int],
    own: tuple[ColumnElement[bool], ...],
    bounds: tuple[int, int],
    keep: int,
    limit: int,
) -> int:
    first, last = bounds
    stretch = (place - first) * (keep - 1) // (last - first + 1)
    kept = select(func.max(place)).where(*own).group_by(stretch)
    start = select(func.min(place)).where(*own).scalar_subquery()
    doomed = select(place).where(*own, place > start, place.not_in(kept)).order_by(place).limit(limit)
    return _delete(session, place, own, doomed.scalar_subquery())


def _delete(
    session: Session, place: InstrumentedAttribute[int], own: tuple[ColumnElement[bool], ...], doomed: Any
) -> int:
    statement = delete(place.class_).where(*own, place.in_(doomed))
    done: Any = session.execute(statement, execution_options={"synchronize_session": False})
    return int(done.rowcount)
