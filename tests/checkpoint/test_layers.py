"""Layers by names and shapes."""

import pytest

from app.checkpoint.layers import (
    Recurrence,
    are_parallel,
    convolutions,
    has_layer_norm,
    is_chain,
    recurrence,
    stacks,
)


def test_layers_of_a_sequential_stand_in_the_order_of_their_index() -> None:
    shapes = {"net.10.weight": (2, 8), "net.2.weight": (8, 4), "net.2.bias": (8,), "head.weight": (3, 2)}
    assert stacks(shapes) == {"net": [(8, 4), (2, 8)], "head": [(3, 2)]}


def test_a_sequential_without_a_name_is_the_empty_stack() -> None:
    assert stacks({"0.weight": (8, 4), "2.weight": (2, 8)}) == {"": [(8, 4), (2, 8)]}


@pytest.mark.parametrize(
    ("layers", "chained", "parallel"),
    [
        ([], False, False),
        ([(3, 4)], True, False),
        ([(8, 4), (2, 8)], True, False),
        ([(3, 16), (2, 16)], False, True),
        ([(16, 16), (16, 16)], True, False),
        ([(3, 16), (2, 8)], False, False),
    ],
)
def test_chains_and_heads_side_by_side(layers: list[tuple[int, int]], chained: bool, parallel: bool) -> None:
    assert (is_chain(layers), are_parallel(layers)) == (chained, parallel)


@pytest.mark.parametrize(("gates", "kind"), [(4, "lstm"), (3, "gru"), (1, "rnn")])
def test_a_recurrent_layer_is_known_by_its_gates(gates: int, kind: str) -> None:
    shapes = {"memory_a.rnn.weight_ih_l0": (gates * 8, 5), "memory_a.rnn.weight_hh_l0": (gates * 8, 8)}
    assert recurrence(shapes) == Recurrence(kind, 8, 5)


def test_the_actors_recurrent_layer_comes_before_the_critics() -> None:
    critic = {"lstm_critic.weight_ih_l0": (32, 7), "lstm_critic.weight_hh_l0": (32, 8)}
    actor = {"lstm_actor.weight_ih_l0": (32, 5), "lstm_actor.weight_hh_l0": (32, 8)}
    assert recurrence({**critic, **actor}, ("actor",)) == Recurrence("lstm", 8, 5)


@pytest.mark.parametrize("state", [None, (32,), (32, 0), (0, 0)])
def test_half_a_recurrent_layer_is_none(state: tuple[int, ...] | None) -> None:
    shapes = {"rnn.weight_ih_l0": (32, 5)} | ({"rnn.weight_hh_l0": state} if state is not None else {})
    assert recurrence(shapes) is None


def test_convolutions_and_normalisations_by_their_dimensions() -> None:
    shapes = {"c.weight": (32, 4, 8, 8), "n.weight": (32,), "c.bias": (32,), "l.weight": (2, 2)}
    assert convolutions(shapes) == [(32, 4, 8, 8)]
    assert has_layer_norm(shapes)
    assert not has_layer_norm({"l.weight": (2, 2), "l.bias": (2,)})
