"""Inert values as JSON: finite, escaped, bounded, whatever they nest."""

import json
from typing import Any

import pytest

from app.checkpoint.limits import ReadLimits
from app.checkpoint.render import CUT, Renderer
from app.checkpoint.values import Array, Bag, Made, Name, Storage, Symbol, Table, Tensor

STORAGE = Storage("0", "float32", 6, "cpu")


def shown(value: Any, **limits: int) -> Any:
    rendered = Renderer(ReadLimits(**limits)).render(value)
    json.dumps(rendered, allow_nan=False)
    return rendered


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (1 << 63, hex(1 << 63)),
        (True, True),
        (b"1234", "4 bytes"),
        ("a\x1b[2J", "a\\x1b[2J"),
        ((1, [2, None]), [1, [2, None]]),
        (Bag([1, 2]), [1, 2]),
        (Name("os", "system"), "os.system"),
        (Symbol("device", "cpu"), "device cpu"),
        (Tensor(STORAGE, "float32", (2, 3), (3, 1), 0), "float32 tensor [2, 3]"),
        (Array((3,), "f8", None), "f8 array [3]"),
        (STORAGE, "storage of 6 float32"),
        (Table([(1, 2), (Name("a", "b"), 3), ((1,), 4)]), {"1": 2, "a.b": 3, "<tuple>": 4}),
        (Made(Name("m", "C"), is_new=True, state=Table.of({"x": 1})), {"__class__": "m.C", "x": 1}),
        (Made(Name("m", "f"), (1,)), {"__call__": "m.f", "__args__": [1]}),
        (Made(None, items=[1]), {"__call__": "?", "__items__": [1]}),
        (object(), "<object>"),
    ],
)
def test_each_kind_of_value(value: Any, expected: Any) -> None:
    assert shown(value) == expected


def test_breadth_depth_and_text_are_cut() -> None:
    assert shown([0] * 10, max_shown_values=4) == [0, 0, 0, CUT]
    assert shown(Table([(str(n), n) for n in range(9)]), max_shown_values=3) == {"0": 0, "1": 1, CUT: CUT}
    assert shown([[[1]]], max_shown_depth=2) == [[CUT]]
    assert shown("abcdef", max_shown_text=3) == "abc…"


def test_a_value_that_holds_itself_ends() -> None:
    endless: list[Any] = []
    endless += [endless, endless]
    assert shown(endless, max_shown_depth=3) == [[[CUT, CUT], [CUT, CUT]], [[CUT, CUT], [CUT, CUT]]]
    wide = Table()
    wide.pairs += [(str(n), wide) for n in range(50)]
    shown(wide, max_shown_values=500)
