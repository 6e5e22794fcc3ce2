"""The /jobs operations: submit, list, show, cancel and resume training jobs."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Body, Depends, Query, Response

from app.actions.cancel_job import cancel_job
from app.actions.explain_wait import why_waiting
from app.actions.resume_job import resume_job
from app.actions.submit_job import submit_job
from app.api.dependencies import AskedBy, Cursor, IdempotencyKey, JobId, Limit, ServiceParts
from app.api.examples import JOB, JOB_DETAIL, answers, page_of
from app.api.filters import (
    Filters,
    Metric,
    MetricMax,
    MetricMin,
    ObsDim,
    PartOfName,
    Widths,
    exact,
    given_filters,
)
from app.api.job_view import JobDetail, JobView, detail_job, view_job
from app.api.operation import Operation
from app.api.page import Page, make_page
from app.api.selection import Selected, Selection, selection_of
from app.errors import (
    Conflict,
    DoesNotFit,
    IdempotencyMismatch,
    IllegalMove,
    InvalidConfig,
    InvalidDataset,
    InvalidShape,
    LimitExceeded,
    NotFound,
    QuotaExceeded,
    Unavailable,
)
from app.jobs.lifecycle import State
from app.jobs.spec import MAX_PRIORITY, JobSpec
from app.logs import current_request_id
from app.registry.database import Session
from app.registry.datasets import find_dataset
from app.registry.job_lists import list_jobs
from app.registry.jobs import get_job

router = APIRouter(tags=["jobs"], route_class=Operation)

log = structlog.get_logger()

COSTS = {"fee_bps": 5.0, "half_spread_bps": 1.0, "slippage": 0.02, "borrow_bps_per_year": 300.0}
SPEC_EXAMPLES = {
    "smallest": {
        "summary": "State the costs, leave the rest to the service",
        "value": {
            "dataset": "googl-daily",
            "total_timesteps": 1_000_000,
            "environment": {"costs": COSTS},
        },
    },
    "several": {
        "summary": "Train on several datasets at once",
        "value": {
            "datasets": ["btc-1h", "eth-1h"],
            "total_timesteps": 5_000_000,
            "environment": {"costs": COSTS},
        },
    },
    "chosen": {
        "summary": "Choose the network and some settings",
        "value": {
            "dataset": "googl-daily",
            "total_timesteps": 5_000_000,
            "hidden_dims": [512, 256, 128],
            "tier": "high",
            "overrides": {"learning_rate": 0.0003, "gamma": 0.995},
            "environment": {"costs": COSTS, "reward": "differential_sharpe"},
        },
    },
}
ACCEPTED_HEADERS = {
    "Location": {"description": "The job's path.", "schema": {"type": "string"}},
    "Idempotent-Replay": {
        "description": "`true` where an earlier request with this key made the job.",
        "schema": {"type": "string"},
    },
}


@router.post(
    "/jobs",
    status_code=202,
    summary="Submit a training job",
    responses=answers(
        JOB_DETAIL,
        *(NotFound, InvalidConfig, InvalidShape, InvalidDataset, DoesNotFit),
        *(IdempotencyMismatch, LimitExceeded, QuotaExceeded, Unavailable),
        status=202,
        headers=ACCEPTED_HEADERS,
    ),
)
def submit(
    parts: ServiceParts,
    asked_by: AskedBy,
    response: Response,
    spec: Annotated[JobSpec, Body(openapi_examples=SPEC_EXAMPLES)],
    idempotency_key: IdempotencyKey = None,
) -> JobDetail:
    """Queue a job; the answer says how everything that was left out was chosen, and why.

    The job is accepted even while the queue's broker is down: its wake-up waits in the registry.
    """
    submitted = submit_job(
        parts.database,
        parts.settings,
        spec,
        idempotency_key=idempotency_key,
        request_id=current_request_id(),
        caller=asked_by,
    )
    log.info("job submitted", job_id=submitted.job.id, created=submitted.created)
    parts.relay.wake()
    response.headers["Location"] = f"/jobs/{submitted.job.id}"
    if not submitted.created:
        response.headers["Idempotent-Replay"] = "true"
    return _detail(parts, submitted.job.id)


async def read_filters(  # noqa: PLR0913, PLR0917 - one parameter per filter
    state: Annotated[State | None, Query(description="Only jobs in this state.")] = None,
    dataset: Annotated[str | None, exact("Only jobs on this dataset, by id or name.")] = None,
    tier: Annotated[str | None, exact("Only jobs of this GPU tier.")] = None,
    priority: Annotated[
        int | None, Query(ge=-MAX_PRIORITY, le=MAX_PRIORITY, description="Only jobs of this priority.")
    ] = None,
    hidden_dims: Widths = None,
    obs_dim: ObsDim = None,
    name: PartOfName = None,
    metric: Metric = None,
    metric_min: MetricMin = None,
    metric_max: MetricMax = None,
) -> Filters:
    """What listed jobs must have."""
    return given_filters(
        {
            "state": state,
            "dataset": dataset,
            "tier": tier,
            "priority": priority,
            "hidden_dims": hidden_dims,
            "obs_dim": obs_dim,
            "name": name,
            "metric": metric,
            "metric_min": metric_min,
            "metric_max": metric_max,
        }
    )


@router.get("/jobs", summary="List jobs", responses=answers(page_of(JOB), NotFound, Unavailable))
def show_jobs(
    parts: ServiceParts,
    limit: Limit,
    filters: Annotated[Filters, Depends(read_filters)],
    shown: Annotated[Selection[JobView], Depends(selection_of(JobView))],
    cursor: Cursor = None,
) -> Page[JobView | Selected]:
    """Jobs that match all filters, the newest first. What was measured is that of a succeeded job's final policy."""
    with parts.database.read() as session:
        if "dataset" in filters:
            filters["dataset_id"] = _dataset_id(session, str(filters.pop("dataset")))
        rows = list_jobs(session, limit=limit + 1, before=cursor, **filters)
    return shown.of_page(make_page(rows, limit, view_job))


@router.get("/jobs/{job_id}", summary="Show a job", responses=answers(JOB_DETAIL, NotFound, Unavailable))
def show_job(parts: ServiceParts, job_id: JobId) -> JobDetail:
    """A job with its state and progress, its resolved configuration and why, its attempts and checkpoints."""
    return _detail(parts, job_id)


@router.post(
    "/jobs/{job_id}/cancel",
    summary="Cancel a job",
    responses=answers(JOB_DETAIL, NotFound, IllegalMove, Unavailable),
)
def cancel(parts: ServiceParts, asked_by: AskedBy, job_id: JobId) -> JobDetail:
    """Withdraw a queued job at once; ask a running one to write a last checkpoint and stop."""
    cancel_job(parts.database, job_id, asked_by)
    return _detail(parts, job_id)


@router.post(
    "/jobs/{job_id}/resume",
    summary="Resume a job",
    status_code=202,
    responses=answers(JOB_DETAIL, NotFound, Conflict, IllegalMove, QuotaExceeded, Unavailable, status=202),
)
def resume(parts: ServiceParts, asked_by: AskedBy, job_id: JobId) -> JobDetail:
    """Queue a failed or cancelled job again; it goes on from its last checkpoint where it has one."""
    resume_job(parts.database, parts.settings, job_id, asked_by)
    parts.relay.wake()
    return _detail(parts, job_id)


def _detail(parts: ServiceParts, job_id: str) -> JobDetail:
    with parts.database.read() as session:
        job = get_job(session, job_id)
        waiting = why_waiting(session, parts.settings, job, parts.queue.trouble or "ok")
        return detail_job(session, job, waiting)


def _dataset_id(session: Session, id_or_name: str) -> str:
    """An id is taken as it is: jobs on a deleted dataset can still be listed."""
    if id_or_name.startswith("dataset_"):
        return id_or_name
    return find_dataset(session, id_or_name).id
