"""Lists of checkpoints: each page reads its own rows, whatever it is filtered by and however many there are."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session, defer

from app.registry.measured import has_measured
from app.registry.names import hold_name
from app.registry.tables import Alias, Checkpoint, CheckpointMetric, Tag

NOT_LISTED = (Checkpoint.report, Checkpoint.config, Checkpoint.versions)
"""Documents that a list does not show; read for themselves where somebody asks for one after all."""

Filters = Mapping[str, str | int | float]


def list_checkpoints(
    session: Session, *, limit: int, before: str | None = None, filters: Filters | None = None
) -> Sequence[Checkpoint]:
    """Newest first, older than the id `before`, and such as `filters` say.

    By their exact value: hidden_dims, obs_dim, producer, kind, job_id, sha256, tag, alias. `name`: a part of it,
    in any case. `metric`: a measured value's path, such as `test.sharpe`, with `metric_min` and `metric_max`.
    """
    given = dict(filters or {})
    part = given.pop("name", None)
    query, order = _select_from(given)
    query = query.where(order < before) if before else query
    if part is not None:
        newer = [Checkpoint.id < before] if before else []
        query = query.where(
            hold_name(session, Checkpoint, str(part), Checkpoint.deleted_at.is_(None), *newer)
        )
    query = query.options(*(defer(column) for column in NOT_LISTED))
    return session.scalars(query.order_by(order.desc()).limit(limit)).all()


def _select_from(filters: dict[str, Any]) -> tuple[Select[Checkpoint], ColumnElement[str]]:
    """The rows that match, and the id to sort by: that of the index that finds them.

    A checkpoint has a tag once and a metric once: no join doubles a row.
    """
    query = select(Checkpoint).where(Checkpoint.deleted_at.is_(None))
    order: ColumnElement[str] = Checkpoint.__table__.c.id
    if "metric" in filters:
        query = query.join(CheckpointMetric, CheckpointMetric.checkpoint_id == Checkpoint.id)
        query = query.where(*has_measured(CheckpointMetric, filters))
        order = CheckpointMetric.__table__.c.checkpoint_id
    if (tag := filters.pop("tag", None)) is not None:
        query = query.join(Tag, Tag.checkpoint_id == Checkpoint.id).where(Tag.tag == tag)
        order = Tag.__table__.c.checkpoint_id
    return query.where(*(_condition(name, value) for name, value in filters.items())), order


def _condition(name: str, value: str | float) -> ColumnElement[bool]:
    if name == "alias":
        # An alias points to one checkpoint: a value, not a set.
        return Checkpoint.id == select(Alias.checkpoint_id).where(Alias.alias == value).scalar_subquery()
    column: ColumnElement[bool] = getattr(Checkpoint, name) == value
    return column
