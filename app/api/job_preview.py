"""POST /jobs/preview: what a job would be, before anybody waits for it."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Body

from app.actions.preview_job import preview_job
from app.api.dependencies import ServiceParts
from app.api.examples import JOB, JOB_DETAIL, answers
from app.api.jobs import SPEC_EXAMPLES
from app.api.operation import Operation
from app.api.rows import parse_dims, view_row
from app.errors import (
    Conflict,
    DoesNotFit,
    InvalidConfig,
    InvalidDataset,
    InvalidShape,
    LimitExceeded,
    NotFound,
    Unavailable,
)
from app.jobs.spec import JobSpec
from app.network.shape import DOCUMENTED

router = APIRouter(tags=["jobs"], route_class=Operation)

EXAMPLE = {
    **{name: JOB[name] for name in ("name", "dataset_ids", "obs_dim", "hidden_dims", "tier")},
    **{name: JOB_DETAIL[name] for name in ("queue", "config", "reasons", "estimate")},
    **{name: JOB[name] for name in ("predicted_bytes", "max_attempts")},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPreview:
    """A job as it would be accepted now; nothing is stored."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """The name it was given, or the one it would get."""
    dataset_ids: list[str]
    """All datasets that it would train on, in the order of the request."""
    obs_dim: int
    """Length of an observation."""
    hidden_dims: tuple[int, ...]
    """Widths of the trunk's layers."""
    tier: str
    """The GPU tier."""
    queue: str
    """The queue of its tier."""
    config: dict[str, Any]
    """What it would be resolved to: network, PPO settings, features, environment, split."""
    reasons: dict[str, Any]
    """Setting -> why it is as it is."""
    estimate: dict[str, Any]
    """Sizes on disk and in memory, as GET /estimate answers; `fits` has a verdict for each tier."""
    predicted_bytes: int
    """Exact size that its checkpoints would have."""
    max_attempts: int
    """How many failed attempts would fail it."""


@router.post(
    "/jobs/preview",
    summary="Preview a training job",
    responses=answers(
        EXAMPLE,
        *(NotFound, InvalidConfig, InvalidShape, InvalidDataset, DoesNotFit),
        *(Conflict, LimitExceeded, Unavailable),
    ),
)
def preview(
    parts: ServiceParts, spec: Annotated[JobSpec, Body(openapi_examples=SPEC_EXAMPLES)]
) -> JobPreview:
    """Resolve a spec as POST /jobs does, refuse what it would refuse, and queue nothing."""
    row = preview_job(parts.database, parts.settings, spec)
    return view_row(
        row,
        JobPreview,
        dataset_ids=[each["id"] for each in row.config["datasets"]],
        hidden_dims=parse_dims(row.hidden_dims),
    )
