"""The windows of a training run: by which ways its first layer is computed, and with how much at a time."""

import math
from dataclasses import replace

from app.network.config import PPOConfig
from app.network.first_layer import FirstLayerWork, choose_ways
from app.network.memory.run_plan import RunPlan
from app.network.memory.update_plan import ITEM_BYTES, Multiplied
from app.network.memory.window_memory import WindowMemory
from app.network.shape import NetworkShape


def windows_of(
    shape: NetworkShape, config: PPOConfig, plan: RunPlan, minibatch_size: int, precision: Multiplied
) -> WindowMemory | None:
    """The first layer's work of one process, as its trainer plans it; None where observations are written out.

    `minibatch_size`: samples of one process.
    """
    windows = plan.windows
    if windows is None or config.norm_obs:
        return None
    share = replace(config, num_envs=config.num_envs // plan.processes or 1)
    work = replace(FirstLayerWork.of(share, windows, plan.device_type), minibatch_size=minibatch_size)
    return WindowMemory(
        work,
        choose_ways(work, config.first_layer),
        config.num_steps,
        restarts(config, plan),
        ITEM_BYTES[precision],
        shared_trunk=shape.shared_trunk,
        rest=shape.obs_dim - windows.columns,
    )


def restarts(config: PPOConfig, plan: RunPlan) -> int:
    """How often an environment's episodes may come to their end within a rollout, ruin aside.

    A stretch of rows ends with one that is seen but not decided on.
    """
    lengths = [config.num_steps]
    if plan.episode_length:
        lengths.append(plan.episode_length)
    if plan.windows and plan.windows.shortest:
        lengths.append(plan.windows.shortest - 1)
    return math.ceil(config.num_steps / max(1, min(lengths)))
