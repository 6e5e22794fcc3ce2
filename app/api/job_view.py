"""How a job is shown: in lists, and with everything that is known of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from app.api.checkpoint_view import CheckpointView, view_checkpoints
from app.api.parameters import documented_like
from app.api.rows import parse_dims, view_row
from app.jobs.lifecycle import Desired, Outcome, State
from app.network.shape import DOCUMENTED
from app.registry.attempts import list_attempts
from app.registry.checkpoint_lists import list_checkpoints
from app.registry.database import Session
from app.registry.evaluations import is_evaluated
from app.registry.tables import Attempt, Job

SHOWN_CHECKPOINTS = 20
"""Checkpoints that a job's answer lists; GET /checkpoints?job= pages through all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptView:
    """One worker's try at a job."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    number: int
    """Attempts count from 1."""
    worker: str
    """The worker that held the job."""
    resumed_from: str | None
    """Checkpoint that it went on from; null for a fresh start."""
    started_at: datetime
    """When the worker took the job."""
    heartbeat_at: datetime
    """When the worker was last heard of."""
    ended_at: datetime | None
    """When the attempt ended; null while it runs."""
    outcome: Outcome | None
    """How it ended; null while it runs."""
    reason: str
    """Why it ended."""
    versions: dict[str, Any] | None
    """What ran it: Caliper, the `commit` of its source where that is known, Python, torch; null before its trainer
    began, and of an older worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A training job in a list."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    id: str
    """Identifier; sorts by time of creation."""
    name: str
    """The name it was given, or one made of the dataset's and the network's."""
    state: State
    """Where the job stands."""
    desired: Desired
    """`cancel` while a running job is asked to stop."""
    dataset_id: str
    """The dataset that it trains on, the first of several."""
    dataset_ids: list[str]
    """All datasets that it trains on, in the order of the request."""
    obs_dim: int
    """Length of an observation."""
    hidden_dims: tuple[int, ...]
    """Widths of the trunk's layers."""
    tier: str
    """The GPU tier."""
    priority: int
    """Of the jobs that wait for its tier those of the highest are taken first."""
    predicted_bytes: int
    """Exact size that its checkpoints will have."""
    attempt: int
    """Number of the latest attempt; 0 before the first."""
    failures: int
    """Attempts that crashed or were lost since the job was last queued by a user."""
    max_attempts: int
    """How many of them fail the job."""
    progress: dict[str, Any]
    """Where the run is: step, rates, losses; empty before the first update."""
    result: dict[str, Any] | None
    """What a succeeded job reached; null before."""
    error: dict[str, Any] | None
    """Why a failed job failed, with code, detail and hint; null otherwise."""
    last_event: int
    """Number of the newest event."""
    created_at: datetime
    """When it was accepted."""
    started_at: datetime | None
    """When a worker first took it."""
    ended_at: datetime | None
    """When it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetail(JobView):
    """A training job with everything that is known of it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = documented_like(JobView)

    queue: str
    """The queue of its tier."""
    waiting: str | None
    """Why it waits, in words; null where it does not."""
    used_seconds: float
    """How long ended attempts have held it since its user last queued it; counted against `max_hours`."""
    spec: dict[str, Any]
    """What was asked for."""
    config: dict[str, Any]
    """What it was resolved to: network, PPO settings, features, environment, split."""
    reasons: dict[str, Any]
    """Setting -> why it is as it is."""
    estimate: dict[str, Any]
    """Sizes on disk and in memory, as GET /estimate answers."""
    resume_from: str | None
    """The checkpoint that the next attempt goes on from."""
    request_id: str | None
    """Id of the request that submitted it, as the log lines of API, worker and trainer about it carry it."""
    attempts: list[AttemptView]
    """Its attempts, first to last."""
    checkpoints: list[CheckpointView]
    """Its newest checkpoints."""
    links: dict[str, str]
    """Paths of its evaluation: `evaluation` (JSON), `page` (HTML), `picture` (PNG); empty before there is one."""


def view_job(row: Job) -> JobView:
    """A job as a list shows it."""
    return view_row(row, JobView, **_words(row))


def detail_job(session: Session, row: Job, waiting: str | None) -> JobDetail:
    """All that is known of one job; `waiting` says why it waits."""
    checkpoints = list_checkpoints(session, limit=SHOWN_CHECKPOINTS, filters={"job_id": row.id})
    return view_row(
        row,
        JobDetail,
        **_words(row),
        attempts=[_view_attempt(attempt) for attempt in list_attempts(session, row.id)],
        checkpoints=view_checkpoints(session, checkpoints),
        waiting=waiting,
        links=_links(row.id) if is_evaluated(session, row.id) else {},
    )


def _links(job_id: str) -> dict[str, str]:
    path = f"/jobs/{job_id}/evaluation"
    return {"evaluation": path, "page": f"{path}.html", "picture": f"{path}.png"}


def _words(row: Job) -> dict[str, Any]:
    dims = parse_dims(row.hidden_dims)
    datasets = [each["id"] for each in row.config.get("datasets", [])] or [row.dataset_id]
    words = {"state": State(row.state), "desired": Desired(row.desired), "hidden_dims": dims}
    return {**words, "dataset_ids": datasets}


def _view_attempt(row: Attempt) -> AttemptView:
    return view_row(row, AttemptView, outcome=Outcome(row.outcome) if row.outcome else None)
