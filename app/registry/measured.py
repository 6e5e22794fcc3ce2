"""What was measured of a checkpoint or a job, as rows of numbers that lists can be filtered by."""

import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from app.registry.tables import CheckpointMetric, JobMetric

MOST_NAME = 200
"""Longest path of a measured number that can be searched for."""


def measured_numbers(document: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a document by their path, names with dots between them."""
    found: dict[str, float] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": number for inner, number in measured_numbers(value).items()}
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            found[str(name)] = float(value)
    return {name: value for name, value in found.items() if len(name) <= MOST_NAME}


def add_job_metrics(session: Session, job_id: str, metrics: Mapping[str, Any]) -> None:
    """Note what was measured of a job's final policy; its checkpoint, which has the same, may be deleted."""
    numbers = measured_numbers(metrics).items()
    session.add_all(JobMetric(job_id=job_id, name=name, value=value) for name, value in numbers)
    session.flush()


def has_measured(
    table: type[CheckpointMetric | JobMetric], filters: dict[str, Any]
) -> list[ColumnElement[bool]]:
    """Takes `metric`, `metric_min` and `metric_max` out of the filters; what they say of a joined row."""
    least, most = filters.pop("metric_min", None), filters.pop("metric_max", None)
    named = [table.name == filters.pop("metric")]
    lower = named if least is None else [*named, table.value >= least]
    return lower if most is None else [*lower, table.value <= most]
