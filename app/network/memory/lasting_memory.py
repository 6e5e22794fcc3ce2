"""What a training run holds from beginning to end."""

from collections.abc import Iterator
from typing import NamedTuple

from app.network.config import PPOConfig
from app.network.memory.rollout_memory import RolloutMemory
from app.network.memory.run_plan import RunPlan
from app.network.memory.tape import BLOCK, blocks
from app.network.memory.training_memory import optimizer_bytes, weight_bytes
from app.network.memory.update_plan import FLOAT
from app.network.memory.window_memory import WindowMemory
from app.network.shape import NetworkShape


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
    statistics = _statistics(shape) if config.norm_obs else 0
    yield Lasting("observation statistics", statistics, "running mean and variance, float64")
    # What an update that ran out of memory begins again from: of a card's run it lies in the host's memory.
    copied = weights + optimizer if config.oom_retry and plan.device_type == "cpu" else 0
    yield Lasting("copy for oom_retry", copied, "weights and moments at the update's start, on the host")
    yield Lasting("dataset", plan.dataset_bytes, "bars and features on the device")


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


def _statistics(shape: NetworkShape) -> int:
    """Two means, variances and counts in float64; mean and scale in fp32."""
    wide, narrow = blocks(2 * FLOAT * shape.obs_dim), blocks(FLOAT * shape.obs_dim)
    return 4 * wide + 2 * narrow + 2 * BLOCK
