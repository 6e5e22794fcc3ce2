import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidShape
from app.network.shape import NetworkShape, ShapeLimits, count_values


def test_tensors_of_a_hand_computed_network() -> None:
    shape = NetworkShape(5, (4, 3), 2, "gaussian", layer_norm=True)
    assert shape.tensors == (
        ("log_std", (2,)),
        ("trunk.0.weight", (4, 5)),
        ("trunk.0.bias", (4,)),
        ("trunk.1.weight", (4,)),
        ("trunk.1.bias", (4,)),
        ("trunk.3.weight", (3, 4)),
        ("trunk.3.bias", (3,)),
        ("trunk.4.weight", (3,)),
        ("trunk.4.bias", (3,)),
        ("actor.0.weight", (64, 3)),
        ("actor.0.bias", (64,)),
        ("actor.2.weight", (2, 64)),
        ("actor.2.bias", (2,)),
        ("critic.0.weight", (64, 3)),
        ("critic.0.bias", (64,)),
        ("critic.2.weight", (1, 64)),
        ("critic.2.bias", (1,)),
    )
    assert shape.parameters == 2 + 24 + 8 + 15 + 6 + 256 + 130 + 256 + 65


def test_kinds_of_layers() -> None:
    shape = NetworkShape(5, (4,), 2, "gaussian", layer_norm=True)
    assert [(layer.name, layer.kind) for layer in shape.layers[:3]] == [
        ("log_std", "log_std"),
        ("trunk.0", "linear"),
        ("trunk.1", "layer_norm"),
    ]


@given(
    st.integers(1, 500),
    st.lists(st.integers(1, 99), min_size=1, max_size=6).map(tuple),
    st.integers(1, 9),
    st.booleans(),
    st.booleans(),
)
def test_the_closed_formula(
    obs_dim: int, dims: tuple[int, ...], actions: int, layer_norm: bool, gaussian: bool
) -> None:
    kind = "gaussian" if gaussian else "discrete"
    shape = NetworkShape(obs_dim, dims, actions, kind, layer_norm=layer_norm)
    trunk = sum(a * b + b for a, b in zip((obs_dim, *dims), dims, strict=False))
    heads = 2 * (dims[-1] * 64 + 64) + (64 * actions + actions) + (64 + 1)
    assert shape.parameters == trunk + heads + 2 * sum(dims) * layer_norm + actions * gaussian
    assert shape.parameters == sum(layer.parameters for layer in shape.layers)


def test_separate_trunks_count_both_first_layers() -> None:
    shape = NetworkShape(1000, (10,), shared_trunk=False)
    assert shape.first_layer_share == 2 * 10_010 / shape.parameters


@pytest.mark.parametrize(
    ("arguments", "pointer"),
    [
        ((0, (4,)), "obs_dim"),
        ((1.5, (4,)), "obs_dim"),
        ((True, (4,)), "obs_dim"),
        ((4, ()), "hidden_dims"),
        ((4, (4, -1)), "hidden_dims[1]"),
        ((4, (4,), 0), "action_dim"),
    ],
)
def test_networks_that_cannot_exist(arguments: tuple[int, tuple[int, ...]], pointer: str) -> None:
    with pytest.raises(InvalidShape) as caught:
        NetworkShape(*arguments)
    assert caught.value.pointer == pointer


def test_limits_are_named_with_what_was_asked() -> None:
    with pytest.raises(InvalidShape) as caught:
        NetworkShape(4, (8,) * 17)
    assert (caught.value.extra["limit"], caught.value.extra["actual"]) == (16, 17)
    assert NetworkShape(4, (8,) * 17, limits=ShapeLimits(max_layers=17)).parameters > 0


def test_values_of_a_tensor() -> None:
    assert (count_values(()), count_values((3, 4)), count_values((0, 9))) == (1, 12, 0)
