"""Filters that several lists have: widths, measured values, exact words, a part of a name."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Query

from app.api.dependencies import PRINTABLE
from app.errors import InvalidInput

METRIC = r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$"
"""Name of a measured value, or its path: names with dots between them."""

Filters = dict[str, str | int | float]
"""What listed rows must have, by name; what was not asked for is left out."""


def exact(description: str) -> Any:
    """A word that must be the very same."""
    return Query(max_length=200, pattern=PRINTABLE, description=description)


def bound(description: str) -> Any:
    """A limit of a measured value."""
    return Query(allow_inf_nan=False, description=description)


Widths = Annotated[
    str | None,
    Query(pattern=r"^\d{1,7}(,\d{1,7}){0,15}$", description="The trunk's widths.", examples=["512,256,128"]),
]
ObsDim = Annotated[int | None, Query(ge=1, le=10_000_000, description="Length of an observation.")]
Hash = Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$", description="Hash of the file.")]
PartOfName = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=200,
        pattern=PRINTABLE,
        description="A part of the name, in any case of the letters a to z.",
    ),
]
Metric = Annotated[
    str | None,
    Query(
        pattern=METRIC,
        max_length=200,
        description="A value that was measured at the end: one that has it, by its path.",
        examples=["test.sharpe"],
    ),
]
MetricMin = Annotated[float | None, bound("The least that `metric` may be.")]
MetricMax = Annotated[float | None, bound("The most that `metric` may be.")]


def given_filters(asked: Mapping[str, str | float | None]) -> Filters:
    """Those that were asked for. Raises InvalidInput for bounds of a metric that is not named."""
    given = {name: value for name, value in asked.items() if value is not None}
    if "metric" not in given and {"metric_min", "metric_max"} & given.keys():
        raise InvalidInput(
            "metric_min and metric_max bound a metric, and none is named",
            hint="give metric too, e.g. metric=test.sharpe",
            pointer="metric",
        )
    return given
