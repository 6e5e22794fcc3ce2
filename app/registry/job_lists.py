"""Lists of jobs: each page reads its own rows, whatever it is filtered by and however many there are."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session, defer

from app.registry.measured import has_measured
from app.registry.names import hold_name
from app.registry.tables import Job, JobDataset, JobMetric

NOT_LISTED = (Job.spec, Job.reasons, Job.estimate)
"""Documents that a list does not show; read for themselves where somebody asks for one after all."""


def list_jobs(
    session: Session, *, limit: int, before: str | None = None, **filters: str | float | None
) -> Sequence[Job]:
    """Newest first, at most `limit`, older than the id `before`, and such as `filters` say; None filters nothing.

    By their exact value: state, tier, priority, hidden_dims, obs_dim, dataset_id. `name`: a part of it, A to Z in any case. `metric`:
    a value that was measured at the end, by its path, such as `test.sharpe`, with `metric_min` and `metric_max`.
    """
    given = {name: value for name, value in filters.items() if value is not None}
    part = given.pop("name", None)
    query, order = _select_from(given)
    older = [] if before is None else [order < before]
    if part is not None:
        newer = [] if before is None else [Job.id < before]
        query = query.where(hold_name(session, Job, str(part), *newer))
    query = query.where(*older).options(*(defer(column) for column in NOT_LISTED))
    return session.scalars(query.order_by(order.desc()).limit(limit)).all()


def _select_from(filters: dict[str, Any]) -> tuple[Select[Job], ColumnElement[str]]:
    """The rows that match, and the id to sort by: that of the index that finds them.

    A job has a metric once and names a dataset once: no join doubles a row.
    """
    query = select(Job)
    order: ColumnElement[str] = Job.__table__.c.id
    if "metric" in filters:
        query = query.join(JobMetric, JobMetric.job_id == Job.id).where(*has_measured(JobMetric, filters))
        order = JobMetric.__table__.c.job_id
    if (dataset_id := filters.pop("dataset_id", None)) is not None:
        query = query.join(JobDataset, JobDataset.job_id == Job.id).where(JobDataset.dataset_id == dataset_id)
        order = JobDataset.__table__.c.job_id
    return query.where(*(getattr(Job, name) == value for name, value in filters.items())), order
