import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from app.errors import OutOfDeviceMemory, TrainingDiverged
from worker.ppo.config import PPOConfig
from worker.ppo.failures import check_finite, is_out_of_memory, memory_errors
from worker.ppo.learn import LearningFigures
from worker.ppo.trainer import NativePPOTrainer

CPU = torch.device("cpu")
FIGURES = LearningFigures(0.1, 0.2, 0.3, 0.01, 0.0, 1.0, 0.5, 10.0)


@pytest.mark.parametrize("name", ["policy_loss", "value_loss", "grad_norm", "weight_norm", "entropy"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_not_finite_is_divergence(name: str, value: float) -> None:
    with pytest.raises(TrainingDiverged, match=f"update 9: {name}=") as failure:
        check_finite(replace(FIGURES, **{name: value}), 9)
    assert failure.value.extra["figures"][name] == str(value)
    assert json.dumps(failure.value.problem(), allow_nan=False)


def test_finite_figures_pass_and_so_does_an_unexplained_variance() -> None:
    check_finite(FIGURES, 1)
    check_finite(replace(FIGURES, explained_variance=math.nan), 1)


def exhaust_cpu() -> None:
    torch.empty(10**15)


def exhaust_numpy() -> None:
    np.empty(10**17)


def exhaust_cuda() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


@pytest.mark.parametrize("exhaust", [exhaust_cpu, exhaust_numpy, exhaust_cuda])
def test_every_allocators_failure_is_out_of_device_memory(exhaust: Any) -> None:
    with (
        pytest.raises(OutOfDeviceMemory, match=r"(?i)memory|allocate") as failure,
        memory_errors(PPOConfig(), CPU),
    ):
        exhaust()
    assert "num_envs=16" in failure.value.hint
    assert failure.value.__cause__ is not None


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="mat1"), memory_errors(PPOConfig(), CPU):
        torch.zeros(2, 3) @ torch.zeros(2, 3)
    assert not is_out_of_memory(ValueError("can't allocate memory"))


def test_a_network_too_large_to_build_says_so(window_env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Past the address space, so that no overcommitting kernel grants it.
    monkeypatch.setattr("worker.ppo.trainer.NativeActorCritic", lambda *_, **__: torch.empty(10**15))
    with pytest.raises(OutOfDeviceMemory):
        NativePPOTrainer(window_env(2), PPOConfig(num_envs=2))


def test_memory_that_runs_out_while_training_says_so(window_env: Any) -> None:
    env = window_env(2)
    trainer = NativePPOTrainer(env, PPOConfig(num_envs=2, num_steps=4, hidden_dims=(8,)))
    env.materialise = lambda parts: torch.empty(10**15)
    with pytest.raises(OutOfDeviceMemory):
        next(trainer.train())
