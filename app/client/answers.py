"""What the service answers, as types: a plain JSON object at run time, its keys known to a type checker.

The names are those of the OpenAPI document, which describes each key; tests hold these types against it. Times are
ISO 8601 texts. What lies deeper than one level is `Json`.
"""

from typing import Any, Generic, Literal, TypedDict, TypeVar

Item = TypeVar("Item")

Json = dict[str, Any]
"""A JSON object, as the service's OpenAPI document describes it."""


class Page(TypedDict, Generic[Item]):
    """A page of a list, the newest items first."""

    items: list[Item]
    next_cursor: str | None


class SizedNetwork(TypedDict):
    """A network and its training in bytes, operations and time."""

    obs_dim: int
    hidden_dims: list[int]
    action_dim: int
    action_kind: str
    minibatch_size: int
    parameters: int
    rule_of_thumb: int
    rule_of_thumb_error_percent: float
    first_layer_share: float
    layers: list[Json]
    disk: Json
    memory: Json
    flops: Json
    fits: list[Json]
    tier_defaults: list[Json]


class Tier(TypedDict):
    """A GPU tier with its default network."""

    name: str
    smallest_card: str
    smallest_bytes: int
    hidden_dims: list[int]
    num_envs: int
    cards: str


class Recommendation(TypedDict):
    """Networks that suit a use case and data."""

    use_case: str
    rows: int
    chosen: Json
    candidates: list[Json]
    warnings: list[str]


class DatasetView(TypedDict):
    """A dataset of bars."""

    id: str
    name: str
    rows: int
    bar_seconds: int
    starts_at: str
    ends_at: str
    sha256: str
    file_sha256: str
    declarations: Json
    report: Json
    chart: str
    source: str
    licence: str
    created_at: str


class CheckpointView(TypedDict):
    """A registered checkpoint."""

    id: str
    name: str
    kind: str
    tags: list[str]
    aliases: list[str]
    sha256: str
    bytes: int
    predicted_bytes: int | None
    producer: str
    obs_dim: int | None
    hidden_dims: list[int] | None
    action_dim: int | None
    parameters: int
    step: int | None
    job_id: str | None
    dataset_id: str | None
    dataset_ids: list[str]
    parent_id: str | None
    metrics: Json
    created_at: str


class CheckpointReport(TypedDict):
    """Everything that is in a checkpoint file."""

    name: str
    format: str
    producer: str
    complete: bool
    architecture: Json
    parameters: int
    layers: list[Json]
    tensors: list[Json]
    dtypes: Json
    optimizer: Json | None
    config: Any
    feature_schema: Json | None
    versions: Any
    dataset: Any
    bytes: Json
    size: Json | None
    normaliser: Any
    normaliser_tensors: list[str]
    normaliser_sha256: Json
    modules: list[str]
    progress: Any
    findings: list[Json]
    sha256: str | None
    bytes_read: int
    limits: Json


class CheckpointDetail(CheckpointView):
    """A registered checkpoint with its report."""

    config: Json | None
    versions: Json | None
    report: CheckpointReport | None


class CheckpointDiff(TypedDict):
    """How two checkpoints differ, and what follows from it."""

    left: str
    right: str
    architecture: list[Json]
    layers: list[Json]
    config: list[Json]
    tensors_only_left: list[str]
    tensors_only_right: list[str]
    tensors_changed: list[Json]
    dtypes_changed: list[Json]
    features: Json | None
    optimizer: list[Json]
    loading: Json
    inference: Json
    lineage: Json
    weights_load: bool
    explanation: str
    parameters_delta: int
    bytes_delta: int


class WeightsDiff(TypedDict):
    """How far the weights of two checkpoints lie apart."""

    left: str
    right: str
    tensors: list[Json]
    total: Json
    skipped: list[Json]
    identical: bool
    bytes_read: int
    explanation: str


class WeightsDiffView(TypedDict):
    """A comparison of weights and how it stands."""

    id: str
    state: Literal["queued", "running", "succeeded", "failed"]
    waiting: str | None
    left_id: str
    right_id: str
    result: WeightsDiff | None
    error: Json | None
    created_at: str
    ended_at: str | None


class UploadView(TypedDict):
    """An upload in parts."""

    id: str
    name: str
    bytes: int
    received: int
    sha256: str | None
    checkpoint_id: str | None
    expires_at: str


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
    spec: Json
    config: Json
    reasons: Json
    estimate: Json
    resume_from: str | None
    attempts: list[Json]
    checkpoints: list[CheckpointView]
    links: dict[str, str]


class JobReport(TypedDict):
    """How a job's policy was judged, one report for each of its datasets."""

    job_id: str
    job_name: str
    assets: list[Json]


class MetricPoints(TypedDict):
    """Measured values of a job."""

    points: list[Json]
    next_after_step: int | None


class WorkerView(TypedDict):
    """A worker that consumes."""

    id: str
    tier: str
    queue: str
    device: Json
    versions: Json
    started_at: str
    seen_at: str


class Readiness(TypedDict):
    """Whether the service can take and run jobs."""

    status: str
    parts: Json
    workers: list[WorkerView]
