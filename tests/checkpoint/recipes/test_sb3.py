"""Files of stable-baselines3 2.9.2 and sb3-contrib 2.9.2, made here; FinRL and FreqAI save the same."""

import io
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from torch import nn

from app.checkpoint.report import CheckpointReport
from tests.checkpoint.reading import dimensions, facts, inspect

BOX = gym.spaces.Box(-1, 1, (5,), np.float32)
IMAGE = gym.spaces.Box(0, 255, (3, 36, 36), np.uint8)
DICT = gym.spaces.Dict({"price": gym.spaces.Box(-1, 1, (4,), np.float32), "account": gym.spaces.Discrete(3)})
THREE, CONTINUOUS = gym.spaces.Discrete(3), gym.spaces.Box(-1, 1, (2,), np.float32)
MULTI, BINARY = gym.spaces.MultiDiscrete([3, 2, 4]), gym.spaces.MultiBinary(4)


class Env(gym.Env):
    """Spaces, and nothing to learn."""

    def __init__(self, observations: gym.Space, actions: gym.Space) -> None:
        self.observation_space, self.action_space = observations, actions

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        return self.observation_space.sample(), 0.0, False, False, {}

    def action_masks(self) -> np.ndarray:
        return np.ones(9, bool)


def saved(algorithm: str, policy: str, observations: Any, actions: Any, **options: Any) -> bytes:
    """The zip that this algorithm saves; `learn` steps are taken where asked for."""
    import sb3_contrib
    import stable_baselines3

    home = stable_baselines3 if hasattr(stable_baselines3, algorithm) else sb3_contrib
    learn = options.pop("learn", 0)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = getattr(home, algorithm)(policy, Env(observations, actions), device="cpu", **options)
        if learn:
            model.learn(learn)
        model.save(file)
    return file.getvalue()


def report(*args: Any, **options: Any) -> CheckpointReport:
    found = inspect(saved(*args, **options))
    assert found.producer == "stable-baselines3"
    assert found.complete
    assert found.findings == ()
    return found


@pytest.mark.parametrize(
    ("actions", "kind", "dim"),
    [
        (THREE, "discrete", 3),
        (CONTINUOUS, "gaussian", 2),
        (MULTI, "multi_discrete", 3),
        (BINARY, "multi_binary", 4),
    ],
)
def test_ppo_with_each_action_space(actions: Any, kind: str, dim: int) -> None:
    found = report("PPO", "MlpPolicy", BOX, actions, n_steps=8)
    assert dimensions(found) == (5, (64, 64), dim, kind)
    assert found.architecture.obs_dim.basis == found.architecture.action_dim.basis == "both"
    assert facts(found)["action_nvec"] == ((3, 2, 4) if kind == "multi_discrete" else None)
    assert facts(found)["shared_trunk"] is False
    assert facts(found)["activation"] == "tanh"


def test_two_networks_of_their_own_widths_and_activation() -> None:
    kwargs = {"net_arch": {"pi": [32, 16], "vf": [8]}, "activation_fn": nn.ELU}
    found = report("PPO", "MlpPolicy", BOX, CONTINUOUS, n_steps=8, policy_kwargs=kwargs)
    assert dimensions(found) == (5, (32, 16), 2, "gaussian")
    assert facts(found)["critic_hidden_dims"] == (8,)
    assert found.architecture.hidden_dims.basis == found.architecture.critic_hidden_dims.basis == "both"
    assert facts(found)["activation"] == "elu"


def test_a_policy_without_hidden_layers() -> None:
    found = report("PPO", "MlpPolicy", BOX, THREE, n_steps=8, policy_kwargs={"net_arch": []})
    assert dimensions(found) == (5, (), 3, "discrete")
    assert found.architecture.hidden_dims.basis == "both"


def test_a_dict_of_observations_counts_all_its_parts() -> None:
    found = report("PPO", "MultiInputPolicy", DICT, THREE, n_steps=8)
    assert dimensions(found)[0] == 7
    assert found.architecture.obs_dim.basis == "both"


def test_an_image_is_said_to_be_read_by_convolutions() -> None:
    found = report("PPO", "CnnPolicy", IMAGE, THREE, n_steps=8)
    assert dimensions(found) == (3 * 36 * 36, (), 3, "discrete")
    assert facts(found)["convolutional"] is True
    assert found.architecture.obs_dim.basis == "config"
    assert "observation space" in found.architecture.obs_dim.note


@pytest.mark.parametrize("actions", [THREE, CONTINUOUS])
def test_recurrent_ppo_takes_its_observations_from_the_lstm(actions: Any) -> None:
    kwargs = {"net_arch": [32, 16], "lstm_hidden_size": 24}
    found = report("RecurrentPPO", "MlpLstmPolicy", BOX, actions, n_steps=8, policy_kwargs=kwargs)
    assert dimensions(found)[:2] == (5, (32, 16))
    said = facts(found)
    assert (said["recurrent"], said["recurrent_kind"], said["recurrent_dim"]) == (True, "lstm", 24)
    assert found.architecture.recurrent_dim.basis == "both"


@pytest.mark.parametrize(("algorithm", "actions"), [("A2C", THREE), ("MaskablePPO", MULTI), ("TRPO", THREE)])
def test_other_on_policy_algorithms(algorithm: str, actions: Any) -> None:
    found = report(algorithm, "MlpPolicy", BOX, actions, n_steps=8)
    assert dimensions(found)[:3] == (5, (64, 64), 3)


@pytest.mark.parametrize(
    ("algorithm", "actions", "kind"),
    [
        ("DQN", THREE, "discrete"),
        ("QRDQN", THREE, "discrete"),
        ("SAC", CONTINUOUS, "gaussian"),
        ("TD3", CONTINUOUS, "deterministic"),
    ],
)
def test_off_policy_algorithms(algorithm: str, actions: Any, kind: str) -> None:
    kwargs = {"net_arch": [32, 16]}
    found = report(algorithm, "MlpPolicy", BOX, actions, buffer_size=10, policy_kwargs=kwargs)
    dim = 3 if actions is THREE else 2
    assert dimensions(found) == (5, (32, 16), dim, kind)
    assert facts(found)["activation"] == "relu"


def test_a_tensor_in_the_json_is_walked_and_not_flagged() -> None:
    found = report("ARS", "LinearPolicy", BOX, THREE)
    assert dimensions(found) == (5, (), 3, "discrete")


def test_progress_and_optimizer_after_learning() -> None:
    found = report("PPO", "MlpPolicy", BOX, THREE, n_steps=8, batch_size=8, n_epochs=2, learn=8)
    assert (found.progress["num_timesteps"], found.progress["_n_updates"]) == (8, 2)
    assert found.optimizer is not None
    assert (found.optimizer.kind, found.optimizer.complete, found.optimizer.steps) == ("adam", True, 2)
    assert found.versions == {"stable_baselines3": "2.9.2"}


@pytest.mark.parametrize("form", ["float", "linear", "constant", "wrapped"])
def test_the_librarys_own_schedules_are_unflagged(form: str) -> None:
    from stable_baselines3.common.utils import ConstantSchedule, FloatSchedule, LinearSchedule

    forms: dict[str, Any] = {
        "float": 1e-3,
        "linear": LinearSchedule(1e-3, 1e-5, 0.9),
        "constant": ConstantSchedule(1e-3),
        "wrapped": FloatSchedule(LinearSchedule(1e-3, 0.0, 1.0)),
    }
    schedule = forms[form]
    report(
        "PPO", "MlpPolicy", BOX, THREE, n_steps=8, batch_size=8, learning_rate=schedule, clip_range=schedule
    )


def test_a_lambda_schedule_is_high_and_says_how_to_load_without_it() -> None:
    made = saved(
        "PPO", "MlpPolicy", BOX, THREE, n_steps=8, batch_size=8, learning_rate=lambda left: 1e-3 * left
    )
    told = {f.location: f for f in inspect(made).findings if f.code == "pickled_function"}
    assert {"data#learning_rate", "data#lr_schedule"} <= set(told)
    finding = told["data#lr_schedule"]
    assert finding.severity == "high"
    assert "lr_schedule holds a pickled function, such as a lambda: its bytecode" in finding.explanation
    assert "Load without it: custom_objects={'lr_schedule': " in finding.explanation
    assert finding.explanation.endswith(
        "give a float or the library's LinearSchedule in place of the function"
    )
