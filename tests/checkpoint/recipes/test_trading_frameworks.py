"""FinRL and FreqAI, made as they do: both call a Stable-Baselines3 model's own `save`.

FinRL: DRLAgent.get_model with its config's parameters and action noise, on a vector environment.
FreqAI: ReinforcementLearner.fit with ReLU and net_arch [128, 128], its observations a window of candles.
"""

import io
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import sb3_contrib
import stable_baselines3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn

from app.checkpoint.report import CheckpointReport
from tests.checkpoint.reading import dimensions, facts, inspect
from tests.checkpoint.recipes.test_sb3 import Env

STOCKS, STATE = 3, 31
WINDOW, FEATURES, FREQAI_ACTIONS = 10, 7, 5
PPO_PARAMS = {"n_steps": 64, "ent_coef": 0.01, "learning_rate": 0.00025, "batch_size": 64}
MODELS: dict[str, dict[str, Any]] = {
    "A2C": {"n_steps": 5, "ent_coef": 0.01, "learning_rate": 0.0007},
    "PPO": PPO_PARAMS,
    "DDPG": {"batch_size": 128, "buffer_size": 100, "learning_rate": 0.001, "noise": OrnsteinUhlenbeckActionNoise},
    "TD3": {"batch_size": 100, "buffer_size": 100, "learning_rate": 0.001, "noise": NormalActionNoise},
    "SAC": {"batch_size": 64, "buffer_size": 100, "learning_rate": 0.0001, "learning_starts": 100, "ent_coef": "auto_0.1"},
}  # fmt: skip
KINDS = {"DDPG": "deterministic", "TD3": "deterministic"}


def inspected(make: Any) -> tuple[CheckpointReport, BaseAlgorithm]:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the environment, which has nothing to learn
        model = make()
        model.save(file)
    report = inspect(file.getvalue())
    assert (report.producer, report.complete, report.findings) == ("stable-baselines3", True, ())
    return report, model


def observed(model: BaseAlgorithm) -> int:
    return int(np.prod(model.observation_space.shape))


@pytest.mark.parametrize("name", MODELS)
def test_finrl(name: str) -> None:
    params = dict(MODELS[name])
    if noise := params.pop("noise", None):
        params["action_noise"] = noise(mean=np.zeros(STOCKS), sigma=0.1 * np.ones(STOCKS))
    spaces = (
        gym.spaces.Box(-np.inf, np.inf, (STATE,), np.float32),
        gym.spaces.Box(-1, 1, (STOCKS,), np.float32),
    )
    env = DummyVecEnv([lambda: Env(*spaces)])
    report, model = inspected(
        lambda: getattr(stable_baselines3, name)(
            "MlpPolicy", env, policy_kwargs=None, seed=None, device="cpu", **params
        )
    )
    actor = model.policy.mlp_extractor.policy_net if name in ("A2C", "PPO") else model.policy.actor
    linear = [layer.out_features for layer in actor.modules() if isinstance(layer, nn.Linear)]
    widths = {"A2C": linear, "PPO": linear, "SAC": linear[:-2]}.get(name, linear[:-1])
    assert dimensions(report) == (observed(model), tuple(widths), STOCKS, KINDS.get(name, "gaussian"))


@pytest.mark.parametrize("name", ["PPO", "A2C", "MaskablePPO", "TRPO", "RecurrentPPO", "DQN", "QRDQN"])
def test_freqai(name: str) -> None:
    home = stable_baselines3 if hasattr(stable_baselines3, name) else sb3_contrib
    env = Env(gym.spaces.Box(-1, 1, (WINDOW, FEATURES), np.float32), gym.spaces.Discrete(FREQAI_ACTIONS))
    policy = "MlpLstmPolicy" if name == "RecurrentPPO" else "MlpPolicy"
    more: dict[str, Any] = {"buffer_size": 10} if name.endswith("DQN") else {"n_steps": 8}
    kwargs = {"activation_fn": nn.ReLU, "net_arch": [128, 128]}
    report, model = inspected(
        lambda: getattr(home, name)(
            policy, env, policy_kwargs=kwargs, tensorboard_log=None, device="cpu", **more
        )
    )
    assert dimensions(report) == (WINDOW * FEATURES, (128, 128), FREQAI_ACTIONS, "discrete")
    assert observed(model) == WINDOW * FEATURES
    assert report.architecture.obs_dim.basis == report.architecture.hidden_dims.basis == "both"
    assert facts(report)["activation"] == "relu"
    assert facts(report)["recurrent_dim"] == (256 if name == "RecurrentPPO" else None)
    assert facts(report)["convolutional"] is False
