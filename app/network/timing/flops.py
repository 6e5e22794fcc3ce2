"""Arithmetic of training, in floating point operations."""

from dataclasses import dataclass
from typing import Any, ClassVar

from app.network.config import PPOConfig
from app.network.shape import DOCUMENTED, NetworkShape


@dataclass(frozen=True, slots=True)
class Flops:
    """Floating point operations of the network; a multiplication and an addition are two."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    forward_per_sample: int
    """2P: each parameter is multiplied and added once."""
    learn_per_sample: int
    """Forward and backward: 6P - 2·obs_dim·h1, as the first layer needs no gradient of its input."""
    per_update: int
    """Acting over the whole rollout, its last values, and all epochs of learning."""
    whole_run: int
    """All updates."""


def count_flops(shape: NetworkShape, config: PPOConfig) -> Flops:
    """Count the operations of one sample, one update and the whole run."""
    trunks = 1 if shape.shared_trunk else 2
    forward = 2 * shape.parameters
    learn = 3 * forward - 2 * trunks * shape.obs_dim * shape.hidden_dims[0]
    acting = forward * (config.batch_size + config.num_envs)
    per_update = acting + learn * config.batch_size * config.update_epochs
    return Flops(forward, learn, per_update, per_update * config.num_updates)
