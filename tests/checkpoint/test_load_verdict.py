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


LEAVES = {
    "linear": lambda: nn.Linear(2, 3),
    "wide": lambda: nn.Linear(2, 5),
    "no_bias": lambda: nn.Linear(2, 3, bias=False),
    "norm": lambda: nn.BatchNorm1d(3),
    "lstm": lambda: nn.LSTM(2, 2),
    "tanh": nn.Tanh,
    "nothing": nn.Identity,
}
NAMES = st.sampled_from(["a", "b", "0", "1", "2", "trunk", "weight"])


class Stateful(nn.Module):
    """A module with extra state, as quantised layers have."""

    def get_extra_state(self) -> torch.Tensor:
        return torch.zeros(1)

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Nothing to take in."""


def module_of(children: dict[str, nn.Module], parameter: bool) -> nn.Module:
    module = nn.Module()
    if parameter:
        module.log_std = nn.Parameter(torch.zeros(2))
    for name, child in children.items():
        module.add_module(name, child)
    return module


def trees() -> st.SearchStrategy[nn.Module]:
    leaf = st.sampled_from(sorted(LEAVES)).map(lambda name: LEAVES[name]())

    def inner(children: st.SearchStrategy[nn.Module]) -> st.SearchStrategy[nn.Module]:
        stacked = st.lists(children, max_size=4).map(lambda found: nn.Sequential(*found))
        named = st.builds(module_of, st.dictionaries(NAMES, children, max_size=3), st.booleans())
        return stacked | named

    return inner(st.recursive(leaf | st.builds(Stateful), inner, max_leaves=6))


def listed(module: nn.Module) -> tuple[str, ...]:
    """The modules that state_dict() lists."""
    metadata: dict[str, object] = module.state_dict()._metadata
    return tuple(metadata)


def plain_shapes(module: nn.Module) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


@given(network=trees(), weights=trees())
@settings(max_examples=300)
def test_any_two_trees_of_modules_give_torch_s_message_to_the_letter(
    network: nn.Module, weights: nn.Module
) -> None:
    """With the list of modules that torch's files carry."""
    verdict = judge_loading(plain_shapes(network), plain_shapes(weights), modules=listed(network))
    assert verdict.message == torch_says(network, weights)


@given(network=trees(), weights=trees())
@settings(max_examples=150)
def test_without_the_list_the_same_keys_are_told_in_an_order_of_modules(
    network: nn.Module, weights: nn.Module
) -> None:
    verdict = judge_loading(plain_shapes(network), plain_shapes(weights))
    whole = judge_loading(plain_shapes(network), plain_shapes(weights), modules=listed(network))
    assert (verdict.missing, verdict.resized) == (whole.missing, whole.resized)
    assert sorted(verdict.unexpected) == sorted(whole.unexpected)


def test_an_activation_in_a_sequential_shows_by_the_gap_that_it_leaves() -> None:
    """The right has layers where the left has its activations: torch meets those between the left's layers."""
    left = build(trunk=[nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)], critic=mlp(4, 1))
    right = build(trunk=[nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)], value=mlp(4, 1))
    verdict = judge_loading(shapes_of(left), shapes_of(right))
    assert verdict.message == torch_says(left, right)


def test_an_activation_that_ends_a_sequential_is_known_from_torch_s_file_and_from_caliper_s() -> None:
    """Files of plain dicts that others write do not list it: there the order may differ."""
    import io

    from app.checkpoint.diff import compare_reports
    from app.checkpoint.inspect import inspect_checkpoint
    from tests.checkpoint.real_files import Policy, caliper_tree, plain_config, saved

    left, right = Policy(), Policy(layer_norm=True)
    said = torch_says(left, right)
    trees = [caliper_tree(module, plain_config()) for module in (left, right)]
    for tree in trees:
        tree["policy_state_dict"] = dict(tree["policy_state_dict"])  # as worker.save writes it
    bare = [saved(module.state_dict()) for module in (left, right)]
    for pair in ([saved(tree) for tree in trees], bare):
        reports = [inspect_checkpoint(io.BytesIO(file)) for file in pair]
        assert compare_reports(*reports).loading.message == said
    assert inspect_checkpoint(io.BytesIO(bare[0])).modules == tuple(left.state_dict()._metadata)
    assert judge_loading(shapes_of(left), shapes_of(right)).message != said


def test_a_hostile_list_of_modules_is_left_out() -> None:
    import io

    from app.checkpoint.inspect import inspect_checkpoint
    from tests.checkpoint.real_files import Policy, saved

    state = Policy().state_dict()
    state._metadata.update({f"{'a.' * 2000}{at}": {} for at in range(40)})
    report = inspect_checkpoint(io.BytesIO(saved(state)))
    assert report.modules == ()
    assert report.complete
