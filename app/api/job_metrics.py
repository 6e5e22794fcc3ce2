"""GET /jobs/{id}/metrics: measured values of a training run, step by step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Query

from app.api.dependencies import JobId, ServiceParts
from app.api.examples import answers
from app.api.operation import Operation
from app.errors import NotFound, Unavailable
from app.network.shape import DOCUMENTED
from app.registry.jobs import get_job
from app.registry.metrics import list_metrics
from app.registry.tables import Metric

router = APIRouter(tags=["jobs"], route_class=Operation)

MOST_POINTS = 10_000
"""Most points of one answer."""
MOST_NAMES = 100
"""Most names that one request may give."""
MOST_SPREAD = 2_000
"""Most steps over which an answer may be spread."""

EXAMPLE = {"points": [{"name": "episode_return", "step": 2048, "value": 0.013}], "next_after_step": None}


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One measured value."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """What was measured."""
    step: int
    """Environment steps taken by then."""
    value: float
    """The value."""


@dataclass(frozen=True, slots=True)
class MetricPoints:
    """Measured values in step order."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    points: list[MetricPoint]
    """The values; a step is never cut in two."""
    next_after_step: int | None
    """Give it as `after_step` to get the rest; null where these were all that there are so far."""


@router.get(
    "/jobs/{job_id}/metrics",
    summary="Read a job's metrics",
    responses=answers(EXAMPLE, NotFound, Unavailable),
)
def show_metrics(
    parts: ServiceParts,
    job_id: JobId,
    names: Annotated[
        list[str] | None,
        Query(max_length=MOST_NAMES, description="Only these, as `a,b` or `names=a&names=b`."),
    ] = None,
    after_step: Annotated[int, Query(ge=-1, lt=1 << 63, description="Only values above this step.")] = -1,
    limit: Annotated[int, Query(ge=1, le=MOST_POINTS, description="About how many values at most.")] = 5_000,
    spread: Annotated[
        int | None,
        Query(
            ge=2,
            le=MOST_SPREAD,
            description="Values of about so many steps alone, spread evenly from the first to the last.",
        ),
    ] = None,
) -> MetricPoints:
    """Losses, returns and rates as they were measured; a run that was resumed shows each step once."""
    wanted = [name.strip().replace("\x00", "") for text in names or () for name in text.split(",")]
    with parts.database.read() as session:
        get_job(session, job_id)
        # A step has far fewer values than MOST_POINTS, so that the margin always completes one.
        rows = list_metrics(
            session,
            job_id,
            names=wanted or None,
            after_step=after_step,
            limit=limit + MOST_NAMES + 1,
            spread=spread,
        )
    return cut_points(rows, limit)


def cut_points(rows: Sequence[Metric], limit: int) -> MetricPoints:
    """The first `limit` rows, and those that belong to the last one's step."""
    if len(rows) <= limit:
        return MetricPoints([_point(row) for row in rows], None)
    last = rows[limit - 1].step
    shown = [_point(row) for row in rows if row.step <= last]
    return MetricPoints(shown, last if rows[-1].step > last else None)


def _point(row: Metric) -> MetricPoint:
    return MetricPoint(row.name, row.step, row.value)
