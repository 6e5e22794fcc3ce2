"""How a run's length and mode shape its schedule: learning rate, epochs, and the batch."""

import math
from dataclasses import dataclass

from app.network.use_cases import TrainingMode

MIN_UPDATES = 30
"""Policy updates that even a short run should get; fewer leave PPO no time to improve on itself."""

DEFAULT_NUM_STEPS = 128
DEFAULT_NUM_MINIBATCHES = 4


@dataclass(frozen=True, slots=True)
class Schedule:
    """What a training mode sets."""

    learning_rate: float
    """Adam's step size at the start."""
    update_epochs: int
    """Passes over each batch."""
    ent_coef: float
    """Weight of the entropy bonus."""
    meaning: str
    """Why, in words."""


SCHEDULES: dict[TrainingMode, Schedule] = {
    "standard": Schedule(2.5e-4, 4, 0.01, "PPO's usual settings"),
    "quick": Schedule(1e-3, 8, 0.01, "larger steps and more passes over each batch, as there is little time"),
    "extended": Schedule(1e-4, 3, 0.005, "smaller steps and fewer passes, as there is time to be careful"),
}


@dataclass(frozen=True, slots=True)
class Batch:
    """The part of a config that decides how many samples an update has."""

    num_envs: int
    """Environments stepped at once."""
    num_steps: int
    """Steps of each between two updates."""
    num_minibatches: int
    """Parts of the batch."""


def shape_batch(total_timesteps: int, num_envs: int, fixed: dict[str, int]) -> Batch:
    """Fit the batch to the run's length, leaving alone what `fixed` (field -> value) sets.

    num_envs, then num_steps, are halved until the run has MIN_UPDATES updates; then they are rounded down
    until num_minibatches divides their product, or, where those are fixed, num_minibatches gives way.
    """
    envs, steps = fixed.get("num_envs", num_envs), fixed.get("num_steps", DEFAULT_NUM_STEPS)
    halvings = (("num_envs", 8), ("num_steps", 16), ("num_envs", 1), ("num_steps", 1))
    for name, least in halvings:
        while name not in fixed and _too_few_updates(total_timesteps, envs * steps):
            if (envs if name == "num_envs" else steps) <= least:
                break
            envs, steps = (envs // 2, steps) if name == "num_envs" else (envs, steps // 2)
    if "num_minibatches" not in fixed:
        return Batch(envs, steps, _largest_divisor(envs * steps, DEFAULT_NUM_MINIBATCHES))
    parts = fixed["num_minibatches"]
    if "num_envs" not in fixed:
        envs = _round_to_multiple(envs, parts // math.gcd(steps, parts))
    elif "num_steps" not in fixed:
        steps = _round_to_multiple(steps, parts // math.gcd(envs, parts))
    return Batch(envs, steps, parts)


def _too_few_updates(total_timesteps: int, batch: int) -> bool:
    return math.ceil(total_timesteps / batch) < MIN_UPDATES


def _largest_divisor(number: int, most: int) -> int:
    return max(part for part in range(1, most + 1) if number % part == 0)


def _round_to_multiple(number: int, step: int) -> int:
    """The largest multiple of `step` up to `number`, at least `step` itself."""
    return max(number // step, 1) * step
