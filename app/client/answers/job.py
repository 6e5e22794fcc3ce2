"""What the service answers about jobs."""

from typing import TypedDict

from app.client.answers.checkpoint import CheckpointView
from app.client.answers.json import Json


class JobView(TypedDict):
    """A training job."""

    id: str
    name: str
    state: str
    desired: str
    dataset_id: str
    dataset_ids: list[str]
    obs_dim: int
    hidden_dims: list[int]
    tier: str
    priority: int
    predicted_bytes: int
    attempt: int
    failures: int
    max_attempts: int
    progress: Json
    result: Json | None
    error: Json | None
    last_event: int
    created_at: str
    started_at: str | None
    ended_at: str | None


class JobDetail(JobView):
    """A training job with its plan, attempts and checkpoints."""

    queue: str
    waiting: str | None
    used_seconds: float
    spec: Json
    config: Json
    reasons: Json
    estimate: Json
    resume_from: str | None
    request_id: str | None
    attempts: list[Json]
    checkpoints: list[CheckpointView]
    links: dict[str, str]


class JobPreview(TypedDict):
    """A job as it would be accepted now."""

    name: str
    dataset_ids: list[str]
    obs_dim: int
    hidden_dims: list[int]
    tier: str
    queue: str
    config: Json
    reasons: Json
    estimate: Json
    predicted_bytes: int
    max_attempts: int


class JobReport(TypedDict):
    """How a job's policy was judged, one report for each of its datasets."""

    job_id: str
    job_name: str
    assets: list[Json]


class MetricPoints(TypedDict):
    """Measured values of a job."""

    points: list[Json]
    next_after_step: int | None
