from typing import Any

import pytest

from app.errors import InvalidConfig
from worker.ppo.config import PPOConfig
from worker.ppo.env import BatchedEnv, WindowedEnv
from worker.ppo.trainer import NativePPOTrainer


def config(**changes: Any) -> PPOConfig:
    return PPOConfig(
        **{"hidden_dims": (8,), "num_envs": 4, "num_steps": 10, "total_timesteps": 40, **changes}
    )


def test_an_environment_is_windowed_by_what_it_offers(sliding_env: Any, window_env: Any) -> None:
    assert isinstance(sliding_env(2), WindowedEnv)
    assert not isinstance(sliding_env(2, blind=True), WindowedEnv)
    assert not isinstance(window_env(2), WindowedEnv)
    env: BatchedEnv = sliding_env(2)
    assert env.num_envs == 2


def test_the_choice_and_its_reason_are_the_trainers(sliding_env: Any, caplog: Any) -> None:
    with caplog.at_level("INFO"):
        trainer = NativePPOTrainer(sliding_env(4), config(first_layer="table"))
    assert trainer.first_layer is not None
    assert str(trainer.first_layer.minibatch) == "table"
    assert "first layer: your choice: table" in caplog.text


def test_without_windows_or_with_running_normalisation_nothing_is_chosen(sliding_env: Any) -> None:
    assert NativePPOTrainer(sliding_env(4, blind=True), config()).first_layer is None
    assert NativePPOTrainer(sliding_env(4), config(norm_obs=True, first_layer="direct")).first_layer is None


@pytest.mark.parametrize("method", ["table", "convolution"])
def test_what_cannot_be_is_refused(sliding_env: Any, method: str) -> None:
    with pytest.raises(InvalidConfig, match="clips each column") as refused:
        NativePPOTrainer(sliding_env(4), config(norm_obs=True, first_layer=method))
    assert refused.value.pointer == "first_layer"
    with pytest.raises(InvalidConfig, match="names no windows"):
        NativePPOTrainer(sliding_env(4, blind=True), config(first_layer=method))


def test_the_same_configuration_chooses_the_same(sliding_env: Any) -> None:
    first, second = (NativePPOTrainer(sliding_env(4), config()).first_layer for _ in range(2))
    assert first == second


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_series_with_a_value_that_is_not_finite_is_written_out(sliding_env: Any, value: float) -> None:
    env = sliding_env(4)
    env.windows.series_TF[3, 0] = value
    assert NativePPOTrainer(env, config()).first_layer is None
