from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.network.compare import compare_shapes
from app.network.shape import NetworkShape

BASE = NetworkShape(5300, (512, 256, 128))

shapes = st.builds(
    NetworkShape,
    obs_dim=st.integers(1, 50),
    hidden_dims=st.lists(st.integers(1, 20), min_size=1, max_size=4).map(tuple),
    action_dim=st.integers(1, 4),
    action_kind=st.sampled_from(["discrete", "gaussian"]),
    layer_norm=st.booleans(),
    shared_trunk=st.booleans(),
)


def test_the_same_shape_loads() -> None:
    result = compare_shapes(BASE, replace(BASE))
    assert result.same
    assert result.weights_load
    assert result.differences == ()
    assert result.summary == "the same shape: all weights load across"


def test_a_wider_layer_touches_its_own_tensors_and_the_next_one() -> None:
    result = compare_shapes(BASE, replace(BASE, hidden_dims=(512, 300, 128)))
    assert [(d.what, d.left, d.right) for d in result.differences] == [("hidden_dims[1]", 256, 300)]
    assert result.misfitting == ("trunk.2.weight", "trunk.2.bias", "trunk.4.weight")
    assert "trunk.0.weight" in result.loadable
    assert not result.weights_load
    assert result.parameters_delta == (300 - 256) * (512 + 1 + 128)
    assert "trunk layer 2 is 256 wide on the left, 300 on the right" in result.summary
    assert "11 of 14 tensors would" in result.summary


def test_a_deeper_trunk_exists_on_one_side() -> None:
    result = compare_shapes(BASE, replace(BASE, hidden_dims=(512, 256, 128, 64)))
    assert result.differences[0].left is None
    assert result.differences[0].sentence == "trunk layer 4 (64 wide) exists only on the right"
    assert result.only_right == ("trunk.6.weight", "trunk.6.bias")
    assert "only on the left" in compare_shapes(replace(BASE, hidden_dims=(512, 256, 128, 64)), BASE).summary


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"obs_dim": 5400}, "obs_dim"),
        ({"action_dim": 5}, "action_dim"),
        ({"action_kind": "gaussian"}, "action_kind"),
        ({"layer_norm": True}, "layer_norm"),
        ({"shared_trunk": False}, "shared_trunk"),
    ],
)
def test_every_fact_is_compared(change: dict[str, object], what: str) -> None:
    result = compare_shapes(BASE, replace(BASE, **change))
    assert [difference.what for difference in result.differences] == [what]
    assert not result.weights_load


@given(shapes, shapes)
def test_sides_mirror_each_other(left: NetworkShape, right: NetworkShape) -> None:
    there, back = compare_shapes(left, right), compare_shapes(right, left)
    assert there.parameters_delta == -back.parameters_delta
    assert there.only_left == back.only_right
    assert set(there.loadable) == set(back.loadable)
    assert there.weights_load is (dict(left.tensors) == dict(right.tensors))
    counted = [*there.loadable, *there.misfitting, *there.only_left]
    assert sorted(counted) == sorted(name for name, _ in left.tensors)
