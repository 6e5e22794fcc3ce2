"""The inert machine against Python's own pickler: whatever plain data is written is read back the same."""

import math
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.checkpoint.contents import Context, walk_pickles
from app.checkpoint.findings import Findings
from app.checkpoint.limits import Meter, ReadLimits
from app.checkpoint.source import BytesSource
from app.checkpoint.values import Bag, ByteRange, Made, Table

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.lists(inner, max_size=6).map(tuple)
        | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=6)
        | st.frozensets(st.integers(), max_size=6)
    ),
    max_leaves=30,
)


LONG = b"y" * 100_000
"""Passed over unread."""


def walked(data: bytes, **limits: Any) -> tuple[Any, Context]:
    context = Context(Meter(ReadLimits(**limits)), Findings(100))
    return walk_pickles(BytesSource(data), context, "here").value, context


def live(value: Any) -> Any:
    """An inert value as the Python value that it stands for."""
    if isinstance(value, Table):
        return {live(key): live(item) for key, item in value.pairs}
    if isinstance(value, ByteRange):
        return LONG
    if isinstance(value, Bag):
        return frozenset(live(item) for item in value.items)
    if isinstance(value, (list, tuple)):
        return type(value)(live(item) for item in value)
    return value


def same(left: Any, right: Any) -> bool:
    """Equality under which NaN equals NaN and 1 is not True."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return left == right or (math.isnan(left) and math.isnan(right))
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


@settings(max_examples=200, deadline=None)
@given(PLAIN, st.integers(0, 5))
def test_plain_data_comes_back_the_same(value: Any, protocol: int) -> None:
    read, context = walked(pickle.dumps(value, protocol))
    assert same(live(read), value)
    assert context.findings.ordered() == ()
    assert context.broken == []


def test_shared_and_cyclic_values_stay_shared() -> None:
    inner: list[Any] = [1]
    inner.append(inner)
    read, _ = walked(pickle.dumps({"a": inner, "b": inner}))
    assert read.get("a") is read.get("b")
    assert read.get("a")[1] is read.get("a")


def test_the_last_of_equal_keys_counts() -> None:
    read, _ = walked(b"}(X\x01\0\0\0aK\x01X\x01\0\0\0aK\x02u.")
    assert read.get("a") == 2


@pytest.mark.parametrize(
    "value",
    [list(range(60_000)), [1, LONG, 2], {"a": ["x" * 70_000] * 3}, [[at] for at in range(30_000)]],
)
@pytest.mark.parametrize("protocol", [4, 5])
def test_honest_frames_are_unflagged(value: Any, protocol: int) -> None:
    """Python writes large values between frames and begins a new one after 64 KiB."""
    read, context = walked(pickle.dumps(value, protocol))
    assert same(live(read), value)
    assert context.findings.ordered() == ()


class Config:
    """Stands for a class that the reader does not know."""


def test_an_object_shows_its_fields() -> None:
    config = Config()
    config.lr = 0.5  # type: ignore[attr-defined]
    read, context = walked(pickle.dumps(config))
    assert isinstance(read, Made)
    assert read.is_new
    assert str(read.function).endswith("test_opcodes.Config")
    fields = read.fields()
    assert fields is not None
    assert fields.get("lr") == 0.5
    assert {finding.severity for finding in context.findings.ordered()} == {"low"}


def test_a_call_names_function_and_arguments() -> None:
    _, context = walked(b"cos\nsystem\n(X\x02\0\0\0lstR.")
    assert context.findings.ordered()[1].explanation == "would call os.system('ls')"


@pytest.mark.parametrize(
    ("line", "value"),
    [(rb"'\8'", "\\8"), (rb"'\18'", "\x018"), (rb"'\x4a\112'", "JJ"), (rb"'\xzz'", "\\xzz")],
)
def test_escapes_of_a_string(line: bytes, value: str) -> None:
    """A backslash before 8 or 9 is none (found by fuzzing: it raised ValueError)."""
    assert walked(b"S" + line + b"\n.")[0] == value


def test_bytes_may_be_as_large_as_the_pickle() -> None:
    """RLlib's weights are such bytes; a string of that length is none that a checkpoint needs."""
    read, context = walked(b"B\x40\0\0\0" + b"x" * 64 + b".", max_string_bytes=10)
    assert (read, context.findings.ordered()) == (b"x" * 64, ())


@pytest.mark.parametrize("end", range(1, 40))
def test_a_torn_pickle_gives_what_was_whole(end: int) -> None:
    data = pickle.dumps({"a": 1, "b": [2, 3]}, 4)
    read, context = walked(data[: min(end, len(data) - 1)])
    assert len(context.broken) == 1
    if isinstance(read, Table):
        assert live(read) in ({}, {"a": 1}, {"a": 1, "b": []}, {"a": 1, "b": [2]}, {"a": 1, "b": [2, 3]})


@pytest.mark.parametrize(
    ("data", "limits", "name"),
    [
        (b"(" * 5000, {"max_depth": 10}, "max_depth"),
        (b"X\x40\0\0\0" + b"x" * 64 + b".", {"max_string_bytes": 10}, "max_string_bytes"),
        (b"\x8a\x08" + b"1" * 8 + b".", {"max_int_bytes": 4}, "max_int_bytes"),
        (b"N0" * 10_000 + b"N.", {"max_opcodes": 5000}, "max_opcodes"),
        (b"(" + b"N" * 10_000 + b"l.", {"max_stack": 5000}, "max_stack"),
        (b"N" + b"\x94" * 10_000 + b".", {"max_memo": 5000}, "max_memo"),
        (b"N0" * 10_000 + b"N.", {"max_seconds": -1.0}, "max_seconds"),
    ],
)
def test_each_budget_ends_the_walk(data: bytes, limits: dict[str, Any], name: str) -> None:
    _, context = walked(data, **limits)
    assert [finding.code for finding in context.findings.ordered()] == ["limit_exceeded"]
    assert context.broken[0].extra["limit_name"] == name
