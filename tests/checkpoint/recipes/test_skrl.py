"""Files of skrl 2.1.1, made here by its own instantiators and agent."""

import logging
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from tests.checkpoint.reading import dimensions, facts, inspect

OBS = gym.spaces.Box(-1, 1, (5,), np.float32)
NETWORK = [{"name": "net", "input": "OBSERVATIONS", "layers": [32, 16], "activations": "elu"}]


def save_agent(path: Path, policy: Any, value: Any, actions: Any) -> Path:
    """What skrl's PPO agent saves with both preprocessors on."""
    from skrl.agents.torch.ppo import PPO, PPO_CFG
    from skrl.resources.preprocessors.torch import RunningStandardScaler

    logging.getLogger("skrl").setLevel(logging.ERROR)
    config = PPO_CFG()
    config.observation_preprocessor = config.value_preprocessor = RunningStandardScaler
    config.observation_preprocessor_kwargs = {"size": OBS, "device": "cpu"}
    config.value_preprocessor_kwargs = {"size": 1, "device": "cpu"}
    for model, role in ((policy, "policy"), (value, "value")):
        model.init_state_dict(role=role)
    agent = PPO(
        models={"policy": policy, "value": value},
        memory=None,
        cfg=config,
        observation_space=OBS,
        state_space=OBS,
        action_space=actions,
        device="cpu",
    )
    agent.save(str(path))
    return path


@pytest.mark.parametrize(
    ("model", "actions", "outputs"),
    [
        ("gaussian_model", gym.spaces.Box(-1, 1, (2,), np.float32), 2),
        ("categorical_model", gym.spaces.Discrete(3), 3),
        ("multicategorical_model", gym.spaces.MultiDiscrete([3, 2]), 5),
    ],
)
def test_separate_models_of_the_instantiators(tmp_path: Path, model: str, actions: Any, outputs: int) -> None:
    from skrl.utils.model_instantiators import torch as instantiators

    common = {"observation_space": OBS, "action_space": actions, "device": "cpu", "network": NETWORK}
    policy = getattr(instantiators, model)(**common, output="ACTIONS")
    value = instantiators.deterministic_model(**common, output="ONE")
    report = inspect(save_agent(tmp_path / "agent.pt", policy, value, actions))
    assert (report.producer, report.findings) == ("skrl", ())
    is_gaussian = model == "gaussian_model"
    assert dimensions(report) == (5, (32, 16), *((2, "gaussian") if is_gaussian else (None, None)))
    assert facts(report)["actor_head"] == (outputs,)
    if not is_gaussian:
        assert report.architecture.action_dim.note.startswith(
            f"{outputs} outputs: the choices of one action, or"
        )
    assert facts(report)["critic_hidden_dims"] == (32, 16)
    assert report.parameters == sum(p.numel() for m in (policy, value) for p in m.parameters())
    assert "observation_preprocessor.running_mean" in report.normaliser_tensors
    assert report.optimizer is not None
    assert report.optimizer.kind == "adam"


def test_a_shared_model_is_counted_once(tmp_path: Path) -> None:
    from skrl.utils.model_instantiators.torch import shared_model

    actions = gym.spaces.Box(-1, 1, (2,), np.float32)
    model = shared_model(
        observation_space=OBS,
        action_space=actions,
        device="cpu",
        structure=["GaussianMixin", "DeterministicMixin"],
        roles=["policy", "value"],
        parameters=[{"network": NETWORK, "output": "ACTIONS"}, {"network": NETWORK, "output": "ONE"}],
    )
    report = inspect(save_agent(tmp_path / "agent.pt", model, model, actions))
    assert dimensions(report) == (5, (32, 16), 2, "gaussian")
    assert facts(report)["shared_trunk"] is True
    assert report.parameters == sum(p.numel() for p in model.parameters())
