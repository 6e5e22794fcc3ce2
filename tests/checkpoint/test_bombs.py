"""How large a value is once nothing is shared, and how deep: counted without expanding it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.checkpoint.bombs import _measure
from app.checkpoint.values import Bag, Made, Name, Table

VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.lists(inner, max_size=4).map(Bag)
        | st.lists(st.tuples(inner, inner), max_size=3).map(Table)
    ),
    max_leaves=30,
)


def parts(value: Any) -> list[Any]:
    if isinstance(value, Table):
        return [part for pair in value.pairs for part in pair]
    if isinstance(value, Bag):
        return value.items
    return list(value) if isinstance(value, (list, tuple)) else []


def expanded(value: Any) -> tuple[int, int]:
    """The same by recursion, which no hostile file may be given to: containers, and their depth."""
    inner = [expanded(part) for part in parts(value) if isinstance(part, (list, tuple, Table, Bag))]
    return 1 + sum(size for size, _ in inner), 1 + max((depth for _, depth in inner), default=0)


@given(VALUES)
def test_size_and_depth_are_those_of_the_expanded_value(value: Any) -> None:
    assert _measure(value, {}) == expanded(value)


def test_doubling_is_counted_and_not_walked() -> None:
    value: Any = ()
    for _ in range(40):
        value = (value, value)
    assert _measure(value, {}) == (2**41 - 1, 41)


def test_a_value_within_itself_ends() -> None:
    loop: list[Any] = []
    table = Table([("a", loop), ("b", loop)])
    loop.extend([table, loop])
    assert _measure(table, {})[1] == 2


def test_parts_of_an_object_are_its_arguments_state_and_items() -> None:
    made = Made(Name("a", "b"), args=([1],), state=Table([("x", [[]])]), items=[[]], pairs=[("k", (1,))])
    size, depth = _measure(made, {})
    assert (size, depth) == (8, 4)


def test_depth_ends_the_count_early() -> None:
    value: Any = ()
    for _ in range(5_000):
        value = (value,)
    assert 1_000 < _measure(value, {})[1] < 1_100
