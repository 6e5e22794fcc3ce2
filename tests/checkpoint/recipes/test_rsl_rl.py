"""Files of rsl-rl-lib 5.5.1, made here, and the layout of one module that it had before."""

import io
from typing import Any

import pytest
import torch

from app.checkpoint.report import CheckpointReport
from tests.checkpoint.reading import dimensions, facts, inspect, of_shapes
from tests.checkpoint.real_files import saved


def made(model: str = "MLPModel", distribution: str = "Gaussian", **options: Any) -> bytes:
    """What OnPolicyRunner.save writes: the algorithm's models and optimizer, iter, infos."""
    from rsl_rl import models
    from rsl_rl.algorithms import PPO
    from rsl_rl.storage import RolloutStorage
    from tensordict import TensorDict

    obs = TensorDict({"policy": torch.zeros(2, 5)}, batch_size=[2])
    groups = {"actor": ["policy"], "critic": ["policy"]}
    config = {"class_name": f"rsl_rl.modules.distribution:{distribution}Distribution"}
    kind = getattr(models, model)
    actor = kind(obs, groups, "actor", 2, hidden_dims=(32, 16), distribution_cfg=config, **options)
    critic = kind(obs, groups, "critic", 1, hidden_dims=(24,), **options)
    algorithm = PPO(actor, critic, RolloutStorage("rl", 2, 4, obs, [2]))
    file = io.BytesIO()
    torch.save({**algorithm.save(), "iter": 7, "infos": None}, file)
    return file.getvalue()


def report(**options: Any) -> CheckpointReport:
    found = inspect(made(**options))
    assert (found.producer, found.findings, found.progress) == ("rsl_rl", (), {"iter": 7})
    return found


def test_separate_models_with_a_normaliser() -> None:
    found = report(obs_normalization=True)
    assert dimensions(found) == (5, (32, 16), 2, "gaussian")
    assert (facts(found)["shared_trunk"], facts(found)["critic_hidden_dims"]) == (False, (24,))
    assert "actor_state_dict.obs_normalizer._mean" in found.normaliser_tensors
    assert any(
        tensor.name == "critic_state_dict.mlp.0.weight" and tensor.part == "weights"
        for tensor in found.tensors
    )


def test_a_recurrent_model_takes_its_observations_from_the_gru() -> None:
    found = report(model="RNNModel", rnn_type="gru", rnn_hidden_dim=24)
    assert dimensions(found)[:3] == (5, (32, 16), 2)
    assert (facts(found)["recurrent_kind"], facts(found)["recurrent_dim"]) == ("gru", 24)


@pytest.mark.parametrize("distribution", ["HeteroscedasticGaussian", "Beta"])
def test_outputs_that_may_be_two_an_action_are_said_to_be_undetermined(distribution: str) -> None:
    found = report(distribution=distribution)
    assert dimensions(found) == (5, (32, 16), None, None)
    assert found.architecture.action_dim.note.startswith("4 outputs")


@pytest.mark.parametrize("recurrent", [False, True])
def test_one_module_as_before_version_5(recurrent: bool) -> None:
    """Built from the keys of rsl-rl-lib 2.x and 3.x: actor.N, critic.N, std, memory_a.rnn."""
    shapes = {
        "std": (2,),
        "actor.0.weight": (32, 24 if recurrent else 5),
        "actor.2.weight": (2, 32),
        "critic.0.weight": (32, 5),
        "critic.2.weight": (1, 32),
    }
    if recurrent:
        shapes |= {"memory_a.rnn.weight_ih_l0": (96, 5), "memory_a.rnn.weight_hh_l0": (96, 24)}
    tree = {"model_state_dict": of_shapes(shapes), "optimizer_state_dict": {}, "iter": 7, "infos": None}
    found = inspect(saved(tree))
    assert found.producer == "rsl_rl"
    assert dimensions(found) == (5, (32,), 2, "gaussian")
    assert facts(found)["recurrent"] is recurrent
