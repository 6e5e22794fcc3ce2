"""State dicts of nobody in particular."""

import pytest
import torch
from torch import nn

from tests.checkpoint.reading import dimensions, facts, inspect, of_shapes
from tests.checkpoint.real_files import saved


def test_actor_and_critic_by_their_names() -> None:
    shapes = {"pi.0.weight": (32, 5), "pi.2.weight": (3, 32), "vf.0.weight": (24, 5), "vf.2.weight": (1, 24)}
    report = inspect(saved({"model": of_shapes(shapes), "epoch": 3}))
    assert report.producer == "unknown"
    assert dimensions(report)[:3] == (5, (32,), None)
    assert report.architecture.action_dim.note.startswith("3 outputs")
    assert facts(report)["actor_head"] == (3,)
    assert facts(report)["critic_hidden_dims"] == (24,)
    assert report.progress == {"epoch": 3}
    assert report.architecture.obs_dim.note == ""


def test_the_only_chain_is_said_to_be_a_guess() -> None:
    net = nn.Sequential(nn.Linear(9, 6), nn.ReLU(), nn.Linear(6, 2))
    fact = inspect(saved(net.state_dict())).architecture.hidden_dims
    assert (fact.value, fact.note.partition(":")[0]) == ((6,), "no layer is named an actor's")


def test_heads_side_by_side_are_multi_discrete() -> None:
    shapes = {"actor.0.weight": (3, 16), "actor.1.weight": (2, 16), "critic.weight": (1, 16)}
    found = facts(inspect(saved({"state_dict": of_shapes(shapes)})))
    assert (found["action_kind"], found["action_nvec"], found["action_dim"]) == ("multi_discrete", (3, 2), 2)


def test_layers_that_do_not_fit_leave_the_widths_undetermined() -> None:
    shapes = {"actor_trunk.0.weight": (32, 5), "actor.weight": (3, 16), "critic.weight": (1, 16)}
    report = inspect(saved({"policy_state_dict": of_shapes(shapes), "config": {}}))
    assert report.architecture.hidden_dims.value is None
    assert report.architecture.hidden_dims.note == "the layers form no chain"


def test_very_many_layers_around_a_recurrent_one_end() -> None:
    shapes = {f"actor.{at}.weight": (2, 2) for at in range(3000)}
    shapes |= {"rnn.weight_ih_l0": (12, 7), "rnn.weight_hh_l0": (12, 3), "critic.weight": (1, 2)}
    state = {name: torch.zeros(1).expand(shape) for name, shape in shapes.items()}
    assert inspect(saved(state)).architecture.recurrent_kind.value == "lstm"


@pytest.mark.parametrize("tree", [{}, {"a": 1}, {"w": torch.zeros(3)}, {"model": {}}, [1, 2]])
def test_nothing_to_read_is_undetermined_with_a_reason(tree: object) -> None:
    fact = inspect(saved(tree)).architecture.obs_dim
    assert (fact.value, fact.basis) == (None, "undetermined")
    assert fact.note
