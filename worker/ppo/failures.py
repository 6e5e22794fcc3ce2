"""How a training run ends by itself: diverged numbers, exhausted memory."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import torch

from app.errors import OutOfDeviceMemory, TrainingDiverged
from worker.ppo.config import PPOConfig
from worker.ppo.learn import LearningFigures

_CPU_ALLOCATION_FAILURES = ("can't allocate memory", "not enough memory")


def check_finite(figures: LearningFigures, update: int) -> None:
    """Raise TrainingDiverged, with the update's number and the figures, if one is NaN or infinite."""
    numbers = asdict(figures)
    # NaN here only says that the returns do not vary, as in an environment that pays nothing yet.
    del numbers["explained_variance"]
    broken = [name for name, value in numbers.items() if not math.isfinite(value)]
    if broken:
        raise TrainingDiverged(
            f"update {update}: {', '.join(f'{name}={numbers[name]}' for name in broken)}",
            hint="lower learning_rate or max_grad_norm, turn on norm_obs or norm_reward, and check that "
            "observations and rewards are finite",
            pointer=broken[0],
            update=update,
            # As text: JSON has no NaN.
            figures={name: str(value) for name, value in numbers.items()},
        )


@contextmanager
def memory_errors(config: PPOConfig, device: torch.device) -> Iterator[None]:
    """Turn any allocator's failure, of CUDA, the CPU or numpy, into OutOfDeviceMemory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfDeviceMemory(
            f"{device}: {str(error).splitlines()[0] if str(error) else 'allocation failed'}",
            hint=_advise(config),
            pointer="num_minibatches",
            device=str(device),
        ) from error


def _advise(config: PPOConfig) -> str:
    fewer_samples = f"fewer samples a minibatch (num_minibatches above {config.num_minibatches}), "
    retry = "" if config.oom_retry else "; oom_retry=true takes smaller minibatches by itself"
    return (
        f"{fewer_samples if config.minibatch_size > 1 else ''}fewer environments or steps "
        f"(num_envs={config.num_envs}, num_steps={config.num_steps}), or narrower hidden_dims than "
        f"{config.hidden_dims}{retry}"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out; the CPU allocator raises a bare RuntimeError."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _CPU_ALLOCATION_FAILURES)
