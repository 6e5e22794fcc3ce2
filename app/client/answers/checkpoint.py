"""What the service answers about checkpoints, what differs between two, and uploads in parts."""

from typing import Any, Literal, TypedDict

from app.client.answers.json import Json


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
