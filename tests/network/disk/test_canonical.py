import sys
from collections import OrderedDict
from enum import IntEnum, StrEnum
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInput, LimitExceeded
from app.network.disk.canonical import MAX_DEPTH, MAX_INT_BITS, canonical_tree


def _refuse(value: object, path: str) -> NoReturn:
    raise InvalidInput(f"{value!r} at {path}", pointer=path)


def _canonical(tree: Any) -> Any:
    return canonical_tree(tree, _refuse)


plain_trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(plain_trees)
def test_the_canonical_tree_is_equal_and_canonical_already(tree: Any) -> None:
    once = _canonical(tree)
    assert once == tree
    assert _canonical(once) == once


def test_equal_strings_become_one_object() -> None:
    parts = ["".join(list("long")), "".join(list("long"))]
    assert parts[0] is not parts[1]
    left, right = _canonical(parts)
    assert left is right


@pytest.mark.parametrize("word", ["storage", "cpu"])
def test_torch_s_own_strings_are_the_interned_objects(word: str) -> None:
    fresh = "".join(list(word))
    assert fresh is not sys.intern(word)
    assert _canonical([fresh])[0] is sys.intern(word)


def test_containers_are_never_shared() -> None:
    shared = [1, 2]
    pair = (1, 2)
    tree = _canonical({"a": shared, "b": shared, "c": pair, "d": pair})
    assert tree["a"] is not tree["b"]
    assert tree["c"] is not tree["d"]
    assert tree["a"] is not shared


def test_a_mapping_s_attributes_are_left_behind_and_its_kind_is_kept() -> None:
    state = OrderedDict(a=1, b=2)
    state._metadata = {"version": 1}
    result = _canonical(state)
    assert type(result) is OrderedDict
    assert list(result) == ["a", "b"]
    assert not hasattr(result, "_metadata")


def test_subclasses_become_plain_types() -> None:
    class Colour(StrEnum):
        RED = "red"

    class Level(IntEnum):
        HIGH = 3

    class Real(float):
        pass

    result = _canonical([Colour.RED, Level.HIGH, Real(0.5), True])
    assert [type(item) for item in result] == [str, int, float, bool]
    assert result == ["red", 3, 0.5, True]


def test_other_values_go_to_the_leaf_function_with_their_path() -> None:
    seen = []
    tree = {"a": [1, {"b": b"raw"}]}
    result = canonical_tree(tree, lambda value, path: seen.append((value, path)) or "leaf")
    assert seen == [(b"raw", "/a/1/b")]
    assert result == {"a": [1, {"b": "leaf"}]}


def test_a_tree_deeper_than_the_limit_is_refused() -> None:
    tree = []
    for _ in range(MAX_DEPTH - 1):
        tree = [tree]
    _canonical(tree)
    with pytest.raises(LimitExceeded) as caught:
        _canonical([tree])
    assert caught.value.limit == MAX_DEPTH


def test_an_integer_that_torch_could_not_read_back_is_refused() -> None:
    assert _canonical([2**MAX_INT_BITS - 1]) == [2**MAX_INT_BITS - 1]
    with pytest.raises(LimitExceeded, match="integer bits"):
        _canonical({"seed": 2**MAX_INT_BITS})


def test_a_lone_surrogate_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidInput, match="surrogate") as caught:
        _canonical({"note": "\ud800x"})
    assert caught.value.pointer == "/note"
