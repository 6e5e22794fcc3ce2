"""An update that ran out of memory, repeated from its start with smaller minibatches."""

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from worker.ppo.config import PPOConfig


@dataclass(frozen=True, slots=True)
class OomRetry:
    """One time that memory ran out, and what was done about it."""

    update: int
    """The update that was repeated, counted from 1."""
    asked: int
    """num_minibatches with which memory ran out."""
    used: int
    """num_minibatches from this update on."""
    error: str
    """What the allocator said."""


def halve_minibatch(config: PPOConfig) -> int | None:
    """The fewest minibatches that divide the batch and are at most half as large; None where none are.

    Half, not the next smaller divisor: each try costs part of an update, and log2(batch) of them are enough.
    """
    for num_minibatches in range(2 * config.num_minibatches, config.batch_size + 1):
        if config.batch_size % num_minibatches == 0:
            return num_minibatches
    return None


def copy_to_host(state: Any) -> Any:
    """A copy of a state dict that shares nothing with it and takes no memory of the device."""
    if isinstance(state, Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, Mapping):
        return {name: copy_to_host(value) for name, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(copy_to_host(value) for value in state)
    return state


def free_memory(device: torch.device) -> None:
    """Give back what nothing refers to any more, to the device too."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
