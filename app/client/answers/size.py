"""What the service answers about sizes: networks, tiers, recommendations, calibrations."""

from typing import TypedDict

from app.client.answers.json import Json


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
    time: Json
    fits: list[Json]
    settings: Json
    device: Json | None
    cards: list[Json]
    tier_defaults: list[Json]
    constants: list[Json]


class Tier(TypedDict):
    """A GPU tier with its default network."""

    name: str
    smallest_card: str
    smallest_bytes: int
    hidden_dims: list[int]
    num_envs: int
    cards: str


class CalibrationView(TypedDict):
    """A device's measurement, without its numbers."""

    id: str
    device: str
    device_type: str
    threads: int
    versions: dict[str, str]
    loaded: bool
    measured_at: str
    created_at: str


class CalibrationDetail(CalibrationView):
    """A device's measurement with all its numbers."""

    measured: Json


class Recommendation(TypedDict):
    """Networks that suit a use case and data."""

    use_case: str
    rows: int
    chosen: Json
    candidates: list[Json]
    warnings: list[str]
