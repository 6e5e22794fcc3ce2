"""Layers by the names and shapes of their tensors: linear stacks, recurrent layers, convolutions.

Weights are [out, in], so a chain is found by each layer's input being the output of the one before.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.checkpoint.values import Array, Table, Tensor

Shapes = dict[str, tuple[int, ...]]
Layers = list[tuple[int, int]]

_INDEXED = re.compile(r"^(?P<stack>.*?)\.?(?P<index>\d+)\.weight$")
_INPUT = re.compile(r"^(?P<prefix>.*?)\.?weight_ih(?P<layer>_l\d+)?$")
_GATES = {1: "rnn", 3: "gru", 4: "lstm"}


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A recurrent layer, its stacked ones taken together."""

    kind: str
    """`lstm`, `gru` or `rnn`, told by the gates per state value."""
    width: int
    """Values of its state."""
    inputs: int
    """Values that it takes."""


def shapes_of(state: Any) -> Shapes:
    """Names and shapes of a state dict's tensors."""
    pairs = state.index().items() if isinstance(state, Table) else ()
    return {name: value.shape for name, value in pairs if isinstance(value, (Tensor, Array))}


def stacks(shapes: Shapes) -> dict[str, Layers]:
    """Linear layers by the Sequential that holds them, as (out, in), in order of their index."""
    found: dict[str, list[tuple[int, int, int]]] = {}
    for name, shape in shapes.items():
        if len(shape) != 2 or not name.endswith("weight"):
            continue
        matched = _INDEXED.match(name)
        stack = matched["stack"] if matched else name.removesuffix(".weight")
        index = int(matched["index"][:9]) if matched else 0
        found.setdefault(stack, []).append((index, shape[0], shape[1]))
    return {stack: [(out, width) for _, out, width in sorted(rows)] for stack, rows in found.items()}


def is_chain(layers: Iterable[tuple[int, int]]) -> bool:
    """Whether each layer's input is the output of the one before."""
    rows = list(layers)
    return bool(rows) and all(rows[at][0] == rows[at + 1][1] for at in range(len(rows) - 1))


def are_parallel(layers: Layers) -> bool:
    """Whether the layers stand side by side: several heads on one input."""
    return len(layers) > 1 and len({width for _, width in layers}) == 1 and not is_chain(layers)


def recurrence(shapes: Shapes, words: tuple[str, ...] = ()) -> Recurrence | None:
    """The first recurrent layer, one whose name has one of `words` before all others."""
    found = [(name, matched) for name in shapes if (matched := _INPUT.match(name))]
    found.sort(key=lambda pair: not any(word in pair[0] for word in words))
    for name, _ in found:
        state = shapes.get(name.replace("weight_ih", "weight_hh"))
        entry = shapes[name]
        if state is not None and len(state) == len(entry) == 2 and state[1]:
            return Recurrence(_GATES.get(state[0] // state[1], "rnn"), state[1], entry[1])
    return None


def convolutions(shapes: Shapes) -> list[tuple[int, ...]]:
    """Shapes of all convolution weights, [out, in, height, width] or with one or three lengths."""
    return [shape for name, shape in shapes.items() if 3 <= len(shape) <= 5 and name.endswith("weight")]


def has_layer_norm(shapes: Shapes) -> bool:
    """Whether a one-dimensional weight, which only a normalisation has, is among the tensors."""
    return any(name.endswith("weight") and len(shape) == 1 for name, shape in shapes.items())
