"""Sample Factory: files built from the keys that version 2.1.1 writes (it wants NumPy 1 and Gymnasium below 1.0)."""

from typing import Any

import pytest

from tests.checkpoint.reading import dimensions, facts, inspect, of_shapes
from tests.checkpoint.real_files import saved

OBS = "obs_normalizer.running_mean_std.running_mean_std.obs."
HEAD = "action_parameterization."
ENCODER = {
    "encoder.encoders.obs.mlp_head.0.weight": (32, 5),
    "encoder.encoders.obs.mlp_head.2.weight": (16, 32),
}
GRU = {"core.core.weight_ih_l0": (72, 16), "core.core.weight_hh_l0": (72, 24)}


def tree(shapes: dict[str, Any]) -> dict[str, Any]:
    """What Learner._get_checkpoint_dict gives."""
    model = of_shapes({f"{OBS}running_mean": (5,), f"{OBS}running_var": (5,), f"{OBS}count": (1,), **shapes})
    counters = {"train_step": 4, "env_steps": 512, "best_performance": -1e9, "curr_lr": 1e-4}
    return {**counters, "model": model, "optimizer": {}}


def test_a_learned_deviation_shows_a_gaussian_and_its_separate_encoders() -> None:
    actor = {name.replace("encoder.", "actor_encoder.", 1): shape for name, shape in ENCODER.items()}
    critic = {name.replace("encoder.", "critic_encoder.", 1): shape for name, shape in ENCODER.items()}
    head = {
        "critic_linear.weight": (1, 16),
        f"{HEAD}learned_stddev": (2,),
        f"{HEAD}distribution_linear.weight": (2, 16),
    }
    report = inspect(saved(tree({**actor, **critic, **head})))
    assert (report.producer, report.findings) == ("sample_factory", ())
    assert dimensions(report) == (5, (32, 16), 2, "gaussian")
    assert (facts(report)["shared_trunk"], facts(report)["critic_hidden_dims"]) == (False, (32, 16))
    assert f"model.{OBS}running_mean" in report.normaliser_tensors
    assert report.progress["env_steps"] == 512


@pytest.mark.parametrize("core", [{}, GRU])
def test_outputs_alone_leave_the_action_undetermined(core: dict[str, Any]) -> None:
    width = 24 if core else 16
    head = {"critic_linear.weight": (1, width), f"{HEAD}distribution_linear.weight": (4, width)}
    report = inspect(saved(tree({**ENCODER, **core, **head})))
    assert dimensions(report) == (5, (32, 16), None, None)
    assert report.architecture.action_dim.note.startswith("4 outputs: as many choices, or means")
    assert facts(report)["recurrent_kind"] == ("gru" if core else None)
    assert facts(report)["shared_trunk"] is True
