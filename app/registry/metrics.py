"""Measured values of training runs: progress on the row, points in the metrics table."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.jobs.lifecycle import FINISH
from app.registry.attempts import Hold
from app.registry.events import record_event
from app.registry.tables import Job, Metric

INSERTS: Mapping[str, Callable[..., Any]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
"""Each database's INSERT … ON CONFLICT."""


def record_progress(session: Session, hold: Hold, step: int, progress: Mapping[str, Any]) -> bool:
    """Note how far the run is and its values at this step; False when the job is no longer the holder's."""
    held = update(Job).where(Job.id == hold.job_id, Job.fence == hold.fence, Job.state.in_(FINISH.sources))
    changed = session.execute(held.values(progress=dict(progress)).returning(Job.id)).first()
    if changed is None:
        return False
    values = {k: v for k, v in progress.items() if isinstance(v, float) and math.isfinite(v)}
    _write_points(session, hold.job_id, step, values)
    record_event(session, hold.job_id, "progress", progress)
    return True


def _write_points(session: Session, job_id: str, step: int, values: Mapping[str, float]) -> None:
    """All points of a step by one statement; what was measured there before is replaced."""
    if not values:
        return
    insert = INSERTS[session.get_bind().dialect.name](Metric)
    points = [{"job_id": job_id, "name": k, "step": step, "value": v} for k, v in values.items()]
    same = [Metric.job_id, Metric.name, Metric.step]
    session.execute(
        insert.values(points).on_conflict_do_update(
            index_elements=same, set_={"value": insert.excluded.value}
        )
    )


def forget_metrics_after(session: Session, job_id: str, step: int) -> None:
    """Drop the points that a resumed run will measure again."""
    session.execute(delete(Metric).where(Metric.job_id == job_id, Metric.step > step))


def list_metrics(
    session: Session,
    job_id: str,
    *,
    names: Sequence[str] | None,
    after_step: int,
    limit: int,
    spread: int | None = None,
) -> Sequence[Metric]:
    """Points above `after_step` in step order, at most `limit`; all names, or the given ones.

    With `spread`, those of so many steps alone, evenly chosen, the first and the last among them.
    """
    query = select(Metric).where(Metric.job_id == job_id, Metric.step > after_step)
    query = query.where(Metric.name.in_(names)) if names else query
    if spread is not None:
        query = query.where(Metric.step.in_(_spread_steps(session, job_id, after_step, spread)))
    return session.scalars(query.order_by(Metric.step, Metric.name).limit(limit)).all()


def _spread_steps(session: Session, job_id: str, after_step: int, count: int) -> list[int]:
    measured = select(Metric.step).where(Metric.job_id == job_id, Metric.step > after_step)
    steps = session.scalars(measured.distinct().order_by(Metric.step)).all()
    if len(steps) <= count:
        return list(steps)
    places = {round(number * (len(steps) - 1) / max(1, count - 1)) for number in range(count)}
    return [steps[place] for place in sorted(places)]
