"""Whether a run fits a card, how large its minibatches may be, and what would fit instead."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from app.errors import DoesNotFit
from app.network.config import PPOConfig
from app.network.run_memory import MemoryEstimate, RunPlan, run_memory
from app.network.shape import NetworkShape
from app.network.tiers import GB, TIERS, Tier

LARGEST_MINIBATCH = 1 << 40
"""Where the search for a minibatch size ends."""


def check_fits(
    shape: NetworkShape, config: PPOConfig, room: Tier | int, plan: RunPlan | None = None
) -> MemoryEstimate:
    """Return the run's memory if it fits `room`: a tier's smallest card, or a number of bytes.

    Raises DoesNotFit with the run's and the card's bytes, and in the hint the nearest change that fits;
    `alternative` holds it as settings, or None where none of them helps.
    """
    plan = plan or RunPlan()
    if isinstance(room, Tier):
        plan = replace(plan, device_type=room.device_type)
    available = room.smallest_bytes if isinstance(room, Tier) else room
    card = f"{room.smallest_card} ({room.name} tier)" if isinstance(room, Tier) else "the card"
    memory = run_memory(shape, config.check(), plan)
    if memory.total_bytes <= available:
        return memory
    alternative = nearest_fitting(shape, config, available, plan)
    raise DoesNotFit(
        f"the run needs {memory.total_bytes / GB:.2f} GB, {card} has {available / GB:.2f} GB",
        hint=_advice(alternative),
        pointer="hidden_dims",
        needed_bytes=memory.total_bytes,
        available_bytes=available,
        alternative=alternative,
    )


def largest_minibatch(
    shape: NetworkShape, config: PPOConfig, available: int, plan: RunPlan | None = None
) -> int:
    """The most samples per optimizer step that fit `available` bytes; 0 if not even one does.

    The rollout buffer is taken as `config` has it, and the answer need not divide the batch.
    """
    plan = plan or RunPlan()
    low, high = 0, 1
    while high <= LARGEST_MINIBATCH and _needs(shape, config, plan, high) <= available:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _needs(shape, config, plan, middle) <= available else (low, middle)
    return low


def nearest_fitting(
    shape: NetworkShape, config: PPOConfig, available: int, plan: RunPlan
) -> dict[str, Any] | None:
    """The smallest change of settings that fits: minibatches first, then environments, then the network."""
    for changes in _alternatives(shape, config):
        dims = changes.get("hidden_dims", config.hidden_dims)
        changed = replace(config, **changes)
        if run_memory(replace(shape, hidden_dims=dims), changed, plan).total_bytes <= available:
            return {
                name: list(value) if isinstance(value, tuple) else value for name, value in changes.items()
            }
    return None


def _needs(shape: NetworkShape, config: PPOConfig, plan: RunPlan, minibatch: int) -> int:
    """Bytes of the run with minibatches of this size and the rollout of `config`."""
    return run_memory(shape, config, plan, minibatch_size=minibatch).total_bytes


def _alternatives(shape: NetworkShape, config: PPOConfig) -> Iterator[dict[str, Any]]:
    yield from _more_minibatches(config)
    smallest = config
    while smallest.num_envs > 1:
        smallest = replace(smallest, num_envs=smallest.num_envs // 2, num_minibatches=1)
        for change in ({}, *_more_minibatches(smallest)):
            yield {"num_envs": smallest.num_envs, "num_minibatches": 1, **change}
    for dims in {tier.hidden_dims: None for tier in TIERS.values()}:
        if replace(shape, hidden_dims=dims).parameters < shape.parameters:
            yield {"hidden_dims": dims}
            yield {"hidden_dims": dims, **_smallest_batch(config)}


def _smallest_batch(config: PPOConfig) -> dict[str, int]:
    """Settings of one environment and minibatches of one sample, the least that can train."""
    return {"num_envs": 1, "num_minibatches": config.num_steps}


def _more_minibatches(config: PPOConfig) -> Iterator[dict[str, Any]]:
    parts = config.num_minibatches * 2
    while config.batch_size % parts == 0 and config.batch_size // parts >= 1:
        yield {"num_minibatches": parts}
        parts *= 2


def _advice(alternative: dict[str, Any] | None) -> str:
    if alternative is None:
        return "no smaller batch or default network fits; take a larger card"
    settings = ", ".join(f"{name}={value}" for name, value in alternative.items())
    return f"{settings} fits; or take a larger card"
