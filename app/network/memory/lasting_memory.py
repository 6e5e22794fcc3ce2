"""What a training run holds from beginning to end."""

from collections.abc import Iterator
from typing import NamedTuple

from app.network.config import PPOConfig
from app.network.disk.contents import CPU_RNG_BYTES
from app.network.memory.rollout_memory import RolloutMemory
from app.network.memory.run_plan import RunPlan
from app.network.memory.tape import BLOCK, blocks
from app.network.memory.training_memory import optimizer_bytes, weight_bytes
from app.network.memory.update_plan import FLOAT
from app.network.memory.window_memory import WindowMemory
from app.network.shape import NetworkShape

WIDE = 8
"""Bytes of a float64 value."""


class Lasting(NamedTuple):
    """One part that lasts."""

    name: str
    bytes: int
    explanation: str
    """The formula, in words."""


def lasting_parts(
    shape: NetworkShape, config: PPOConfig, plan: RunPlan, windows: WindowMemory | None
) -> Iterator[Lasting]:
    """All of it, in the order of the report."""
    rollout, weights, optimizer = (
        rollout_memory(shape, config, plan),
        weight_bytes(shape),
        optimizer_bytes(shape),
    )
    yield Lasting("weights", weights, "4 B per parameter, each tensor in whole blocks of 512 B")
    yield Lasting("optimizer", optimizer, "Adam's two moments, 8 B per parameter, and step counters")
    of_windows = windows.run if windows else 0
    yield Lasting("windows", of_windows, "tables, spectra and workspaces of the first layer")
    yield Lasting("rollout buffer", rollout.buffer, "num_envs·num_steps stored steps")
    yield Lasting("environment", rollout.environment, "accounts and present observations")
    yield Lasting("observation statistics", _statistics(shape, config), "running mean and variance, float64")
    scaled = _reward_statistics(rollout, config)
    yield Lasting("reward statistics", scaled, "discounted return of each environment, mean, variance, count")
    copied = copied_bytes(shape, config, plan)
    yield Lasting(
        "copy for oom_retry", copied, "weights, moments and environments at the update's start, on the host"
    )
    yield Lasting("dataset", plan.dataset_bytes, "bars and features on the device")


def copied_bytes(shape: NetworkShape, config: PPOConfig, plan: RunPlan) -> int:
    """What an update that ran out of memory begins again from; 0 on a card, of whose run it lies in the host's memory."""
    if not config.oom_retry or plan.device_type != "cpu":
        return 0
    rollout = rollout_memory(shape, config, plan)
    # Returns and lengths of the running episodes, two generators' states, and the counts of steps and updates.
    counted = 2 * blocks(WIDE * rollout.envs) + 2 * blocks(CPU_RNG_BYTES) + 2 * BLOCK
    normalised = _statistics(shape, config) + _reward_statistics(rollout, config)
    learned = weight_bytes(shape) + optimizer_bytes(shape)
    return learned + copied_environments(shape, config, plan) + counted + normalised


def copied_environments(shape: NetworkShape, config: PPOConfig, plan: RunPlan) -> int:
    """The accounts' part of it; of environments that keep no windows nothing is known."""
    keeps = config.oom_retry and plan.device_type == "cpu" and plan.sliding_row_bytes
    return rollout_memory(shape, config, plan).environment if keeps else 0


def rollout_memory(shape: NetworkShape, config: PPOConfig, plan: RunPlan) -> RolloutMemory:
    """The buffer and the environments of one process."""
    windows = plan.windows
    return RolloutMemory(
        shape,
        config,
        plan.step_bytes(shape),
        plan.sliding_row_bytes if windows else 0,
        windows.lookback if windows else 0,
        plan.processes,
    )


def _statistics(shape: NetworkShape, config: PPOConfig) -> int:
    """Two means, variances and counts in float64; mean and scale in fp32."""
    if not config.norm_obs:
        return 0
    wide, narrow = blocks(WIDE * shape.obs_dim), blocks(FLOAT * shape.obs_dim)
    return 4 * wide + 2 * narrow + 2 * BLOCK


def _reward_statistics(rollout: RolloutMemory, config: PPOConfig) -> int:
    return blocks(WIDE * rollout.envs) + 3 * BLOCK if config.norm_reward else 0
