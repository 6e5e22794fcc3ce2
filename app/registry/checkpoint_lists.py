"""Lists of checkpoints: each page reads its own rows, whatever it is filtered by and however many there are."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session, defer

from app.registry.tables import Alias, Checkpoint, CheckpointMetric, Tag

NOT_LISTED = (Checkpoint.report, Checkpoint.config, Checkpoint.versions)
"""Documents that a list does not show; read for themselves where somebody asks for one after all."""

MOST_NAME = 200
"""Longest path of a measured number that can be searched for."""

Filters = Mapping[str, str | int | float]


def list_checkpoints(
    session: Session, *, limit: int, before: str | None = None, filters: Filters | None = None
) -> Sequence[Checkpoint]:
    """Newest first, older than the id `before`, and such as `filters` say.

    By their exact value: hidden_dims, obs_dim, producer, kind, job_id, sha256, tag, alias. `name`: a part of it,
    in any case. `metric`: a measured value's path, such as `test.sharpe`, with `metric_min` and `metric_max`.
    """
    query, order = _select_from(dict(filters or {}))
    query = query.where(order < before) if before else query
    query = query.options(*(defer(column) for column in NOT_LISTED))
    return session.scalars(query.order_by(order.desc()).limit(limit)).all()


def measured_numbers(document: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a checkpoint's metrics by their path, names with dots between them."""
    found: dict[str, float] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": number for inner, number in measured_numbers(value).items()}
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            found[str(name)] = float(value)
    return {name: value for name, value in found.items() if len(name) <= MOST_NAME}


def _select_from(filters: dict[str, Any]) -> tuple[Select[Checkpoint], ColumnElement[str]]:
    """The rows that match, and the id to sort by: that of the index that finds them.

    A checkpoint has a tag once and a metric once: no join doubles a row.
    """
    query = select(Checkpoint).where(Checkpoint.deleted_at.is_(None))
    order: ColumnElement[str] = Checkpoint.__table__.c.id
    if (metric := filters.pop("metric", None)) is not None:
        bounds = (filters.pop("metric_min", None), filters.pop("metric_max", None))
        query = query.join(CheckpointMetric, CheckpointMetric.checkpoint_id == Checkpoint.id)
        query = query.where(CheckpointMetric.name == metric, *_within(*bounds))
        order = CheckpointMetric.__table__.c.checkpoint_id
    if (tag := filters.pop("tag", None)) is not None:
        query = query.join(Tag, Tag.checkpoint_id == Checkpoint.id).where(Tag.tag == tag)
        order = Tag.__table__.c.checkpoint_id
    return query.where(*(_condition(name, value) for name, value in filters.items())), order


def _within(least: float | None, most: float | None) -> list[ColumnElement[bool]]:
    lower = [] if least is None else [CheckpointMetric.value >= least]
    return lower if most is None else [*lower, CheckpointMetric.value <= most]


def _condition(name: str, value: str | float) -> ColumnElement[bool]:
    if name == "alias":
        # An alias points to one checkpoint: a value, not a set.
        return Checkpoint.id == select(Alias.checkpoint_id).where(Alias.alias == value).scalar_subquery()
    if name == "name":
        return Checkpoint.name.icontains(str(value), autoescape=True)
    column: ColumnElement[bool] = getattr(Checkpoint, name) == value
    return column
