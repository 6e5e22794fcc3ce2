"""The verdict on loading, held against what torch itself raises."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from app.checkpoint.load_verdict import judge_loading

Shapes = dict[str, tuple[int, ...]]


def shapes_of(module: nn.Module) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def build(**stacks: list[nn.Module]) -> nn.Module:
    module = nn.Module()
    for name, layers in stacks.items():
        setattr(module, name, nn.Sequential(*layers))
    return module


def torch_says(network: nn.Module, weights: nn.Module) -> str:
    """What load_state_dict raises, without its first line; empty where it loads."""
    try:
        network.load_state_dict(weights.state_dict(), strict=True)
    except RuntimeError as error:
        return str(error).partition("\n")[2]
    return ""


def mlp(*widths: int) -> list[nn.Module]:
    return [part for a, b in itertools.pairwise(widths) for part in (nn.Linear(a, b), nn.Tanh())]


def with_parameter(module: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    module.log_std = nn.Parameter(torch.zeros(shape))
    return module


NETWORKS = {
    "small": lambda: build(trunk=mlp(12, 16, 8), actor=mlp(8, 3), critic=mlp(8, 1)),
    "wide": lambda: build(trunk=mlp(12, 32, 8), actor=mlp(8, 3), critic=mlp(8, 1)),
    "deep": lambda: build(trunk=mlp(12, 16, 8, 8), actor=mlp(8, 3), critic=mlp(8, 1)),
    "obs": lambda: build(trunk=mlp(20, 16, 8), actor=mlp(8, 3), critic=mlp(8, 1)),
    "separate": lambda: build(actor_trunk=mlp(12, 16), critic_trunk=mlp(12, 16), actor=mlp(16, 3), critic=mlp(16, 1)),
    "gaussian": lambda: with_parameter(build(trunk=mlp(12, 16, 8), actor=mlp(8, 3), critic=mlp(8, 1)), (3,)),
    "scalar": lambda: with_parameter(build(trunk=mlp(12, 16, 8), actor=mlp(8, 3), critic=mlp(8, 1)), ()),
    "one": lambda: with_parameter(build(trunk=mlp(12, 16, 8), actor=mlp(8, 3), critic=mlp(8, 1)), (1,)),
    "recurrent": lambda: build(lstm=[nn.LSTM(12, 8)], actor=mlp(8, 3)),
    "norm": lambda: build(trunk=[nn.Linear(12, 16), nn.LayerNorm(16), nn.BatchNorm1d(16)], actor=mlp(16, 3)),
    "empty": nn.Module,
}  # fmt: skip


@pytest.mark.parametrize(("left", "right"), list(itertools.product(NETWORKS, NETWORKS)))
def test_the_verdict_is_torch_s_own(left: str, right: str) -> None:
    network, weights = NETWORKS[left](), NETWORKS[right]()
    verdict = judge_loading(shapes_of(network), shapes_of(weights))
    said = torch_says(network, weights)
    assert verdict.message == said
    if "empty" not in (left, right):
        assert verdict.loads == (said == "")


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_two_networks_are_judged_as_torch_judges(data: st.DataObject) -> None:
    widths = st.lists(st.integers(1, 4), min_size=2, max_size=4)
    sides = []
    for _ in range(2):
        names = data.draw(st.lists(st.sampled_from(["trunk", "actor", "critic"]), unique=True, min_size=1))
        sides.append(build(**{name: mlp(*data.draw(widths)) for name in names}))
    network, weights = sides
    verdict = judge_loading(shapes_of(network), shapes_of(weights))
    assert verdict.message == torch_says(network, weights)
    assert verdict.loads == (verdict.message == "")


def test_nothing_loads_into_nothing() -> None:
    verdict = judge_loading({}, {})
    assert not verdict.loads
    assert verdict.explanation == "the weights do not load: the files share no tensor"


def test_a_deep_foreign_name_takes_no_recursion() -> None:
    deep = ".".join(["a"] * 5000)
    verdict = judge_loading({f"{deep}.weight": (1,)}, {"b.weight": (1,)})
    assert verdict.unexpected == ("b.weight",)
