"""Layers side by side: an insertion is an insertion, whatever the numbers behind it."""

import io
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from app.checkpoint.alignment import LayerChange, align_layers, describe_pair
from app.checkpoint.diff import CheckpointDiff, compare_reports
from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.network_layers import Layer
from app.checkpoint.report import CheckpointReport
from app.checkpoint.roles import role_of
from app.checkpoint.tensors import TensorInfo
from tests.checkpoint.real_files import Policy, agent, saved


def layer(name: str, out: int, width: int, bias: bool = True) -> Layer:
    made = Layer(name, role_of(name))
    for leaf, shape in [("weight", (out, width))] + [("bias", (out,))] * bias:
        values = out * (width if leaf == "weight" else 1)
        made.tensors[leaf] = TensorInfo(
            f"{name}.{leaf}", "weights", shape, "float32", values * 4, leaf, 0, ()
        )
        made.parameters += values
    return made


def chain(name: str, *widths: int) -> list[Layer]:
    return [layer(f"{name}.{2 * at}", widths[at + 1], widths[at]) for at in range(len(widths) - 1)]


def changes(left: list[Layer], right: list[Layer]) -> list[LayerChange]:
    return [describe_pair(pair) for pair in align_layers(left, right)]


def told(rows: list[LayerChange]) -> list[tuple[str, str | None, str | None]]:
    return [(r.status, r.left.name if r.left else None, r.right.name if r.right else None) for r in rows]


def test_equal_networks_are_the_same_layer_by_layer() -> None:
    rows = changes(chain("trunk", 12, 16, 8), chain("trunk", 12, 16, 8))
    assert [row.status for row in rows] == ["same", "same"]
    assert all(row.parameters_delta == row.bytes_delta == 0 and row.explanation == "" for row in rows)


def test_a_layer_inserted_in_the_middle_is_inserted() -> None:
    rows = changes(chain("trunk", 100, 64, 64, 32, 3), chain("trunk", 100, 64, 64, 64, 32, 3))
    assert sorted(row.status for row in rows) == ["inserted", "same", "same", "same", "same"]
    (inserted,) = [row for row in rows if row.status == "inserted"]
    assert inserted.left is None
    assert (inserted.parameters_delta, inserted.bytes_delta) == (64 * 64 + 64, 4 * (64 * 64 + 64))


def test_a_layer_of_another_width_inserted_changes_only_its_neighbour() -> None:
    rows = changes(chain("trunk", 100, 512, 256, 3), chain("trunk", 100, 512, 384, 256, 3))
    assert [row.status for row in rows] == ["same", "inserted", "changed", "same"]
    assert rows[2].explanation == "input 512 → 384"


def test_a_removed_layer_is_removed() -> None:
    rows = changes(chain("trunk", 10, 8, 8, 4), chain("trunk", 10, 8, 4))
    assert sorted(row.status for row in rows) == ["removed", "same", "same"]


def test_a_wider_layer_changes_itself_and_the_next_one_s_input() -> None:
    rows = changes(chain("trunk", 12, 16, 8), chain("trunk", 12, 32, 8))
    assert [row.explanation for row in rows] == ["output 16 → 32", "input 16 → 32"]
    assert rows[0].parameters_delta == 13 * 16


def test_a_bias_that_is_missing_is_named() -> None:
    (row,) = changes([layer("trunk.0", 4, 3)], [layer("trunk.0", 4, 3, bias=False)])
    assert (row.status, row.explanation) == ("changed", "bias only left")


def test_actor_and_critic_are_aligned_apart() -> None:
    left = [*chain("actor", 8, 3), *chain("critic", 8, 1)]
    right = [*chain("critic", 8, 1), *chain("actor", 8, 3)]
    assert [(row.status, row.path) for row in changes(left, right)] == [("same", "policy"), ("same", "value")]


@given(
    widths=st.lists(st.integers(1, 9), min_size=2, max_size=7),
    others=st.lists(st.integers(1, 9), min_size=2, max_size=7),
)
def test_every_layer_stands_in_one_row_and_in_order(widths: list[int], others: list[int]) -> None:
    left, right = chain("trunk", *widths), chain("trunk", *others)
    pairs = align_layers(left, right)
    assert [a for a, _ in pairs if a] == left
    assert [b for _, b in pairs if b] == right
    assert all(a or b for a, b in pairs)
    rows = [describe_pair(pair) for pair in pairs]
    delta = sum(each.parameters for each in right) - sum(each.parameters for each in left)
    assert sum(row.parameters_delta for row in rows) == delta


def test_thousands_of_layers_are_paired_by_name() -> None:
    left, right = ([layer(f"trunk.{at}", 2, size) for at in range(3000)] for size in (2, 3))
    rows = changes(left, right)
    assert len(rows) == 3000
    assert all(row.left and row.right and row.left.name == row.right.name for row in rows)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("trunk.0", "trunk"),
        ("actor_trunk.0", "actor"),
        ("critic.2", "critic"),
        ("mlp_extractor.policy_net.0", "actor"),
        ("mlp_extractor.value_net.0", "critic"),
        ("action_net", "actor"),
        ("value_net", "critic"),
        ("a2c_network.actor_mlp.0", "actor"),
        ("actor_critic.trunk.0", "trunk"),
        ("actor_critic.critic_head", "critic"),
        ("lstm_critic", "critic"),
        ("log_std", "actor"),
        ("actor_logstd", "actor"),
        ("net_container.0", "trunk"),
        ("running_mean_std", "other"),
    ],
)
def test_roles_are_told_by_names(name: str, role: str) -> None:
    assert role_of(name) == role


def report(tree: Any) -> CheckpointReport:
    return inspect_checkpoint(io.BytesIO(saved(tree)))


def sb3_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A CleanRL agent's weights under the names of stable-baselines3's ActorCriticPolicy."""
    places = {"actor.4": "action_net", "critic.4": "value_net"}
    nets = {"actor": "mlp_extractor.policy_net", "critic": "mlp_extractor.value_net"}
    renamed = {}
    for key, value in state.items():
        module, _, leaf = key.rpartition(".")
        head, _, index = module.partition(".")
        renamed[f"{places.get(module, f'{nets[head]}.{index}')}.{leaf}"] = value
    return renamed


def test_the_same_network_of_another_producer_loads_once_it_is_renamed() -> None:
    state = agent().state_dict()
    other = sb3_names(state)
    found = compare_reports(report(state), report({"policy_state_dict": other, "config": {}}))
    assert {row.status for row in found.layers} == {"same"}
    assert not found.loading.loads
    assert found.loading.loads_renamed
    renamed = {row.right: row.left for row in found.loading.renames}
    fresh = agent()
    fresh.load_state_dict({renamed.get(key, key): value for key, value in other.items()}, strict=True)
    torch.testing.assert_close(fresh.state_dict(), state)


def test_no_renaming_is_offered_where_a_layer_has_no_counterpart() -> None:
    module = agent()
    module.actor.append(nn.Linear(2, 2))
    found: CheckpointDiff = compare_reports(report(agent().state_dict()), report(module.state_dict()))
    assert (found.loading.loads_renamed, found.loading.renames) == (False, ())
    assert found.loading.unexpected == ("actor.5.weight", "actor.5.bias")


def test_views_of_one_storage_count_once() -> None:
    policy = Policy()
    state = policy.state_dict()
    tied = {**state, "copy.0.weight": state["trunk.0.weight"]}
    found = compare_reports(
        report({"policy_state_dict": state, "config": {}}), report({"policy_state_dict": tied, "config": {}})
    )
    (inserted,) = [row for row in found.layers if row.status == "inserted"]
    assert (inserted.parameters_delta, inserted.bytes_delta) == (0, 16 * 12 * 4)
