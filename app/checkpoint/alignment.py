"""The layers of two networks side by side: what was inserted, removed or changed, and what stayed.

Per path (policy, value) the two chains are aligned with the least cost, as in Needleman & Wunsch (1970): so
a layer inserted in the middle is one insertion, however the names behind it are numbered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from app.checkpoint.network_layers import Layer
from app.checkpoint.roles import Path, Role
from app.network.shape import DOCUMENTED

Status = Literal["same", "changed", "inserted", "removed"]
Pair = tuple[Layer | None, Layer | None]

MOST_CELLS = 250_000
"""Largest table of the alignment; longer chains are paired by name alone."""

GAP = 1.0
SAME_OUT, SAME_IN, NEITHER = 0.9, 0.95, 1.6
OTHER_NAME, OTHER_ROLE = 0.01, 0.02
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class LayerSide:
    """A layer of one of the files."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """Its module's path in the state dict."""
    role: Role
    """`trunk`, `actor`, `critic`, or `other`, told by its name."""
    shape: tuple[int, ...]
    """Shape of its weight, [out, in] for a linear layer."""
    dtype: str
    """Type of its values."""
    parameters: int
    """Values, biases included; what an earlier layer holds already is not counted again."""
    bytes: int
    """Bytes of its tensors."""


@dataclass(frozen=True, slots=True)
class LayerChange:
    """A layer of the left and its counterpart on the right."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    status: Status
    """`same`, `changed`, `inserted` (only on the right) or `removed` (only on the left)."""
    path: Path
    """Where it lies: on the way to the action (`policy`), to the value (`value`), or neither."""
    left: LayerSide | None
    """The layer of the left; null where the right inserted one."""
    right: LayerSide | None
    """The layer of the right; null where it was removed."""
    parameters_delta: int
    """Parameters of the right minus those of the left."""
    bytes_delta: int
    """Bytes of the right minus those of the left."""
    explanation: str
    """The difference in words; empty where there is none."""


def align_layers(left: Sequence[Layer], right: Sequence[Layer]) -> list[Pair]:
    """Pair the layers of two networks, path by path; None stands for a missing counterpart."""
    paths: tuple[Path, ...] = ("policy", "value", "other")
    pairs: list[Pair] = []
    for path in paths:
        ours = [layer for layer in left if layer.path == path]
        theirs = [layer for layer in right if layer.path == path]
        small = len(ours) * len(theirs) <= MOST_CELLS
        pairs += _align(ours, theirs) if small else _by_name(ours, theirs)
    return pairs


def describe_pair(pair: Pair) -> LayerChange:
    """The row of a pair."""
    left, right = pair
    status, explanation = _judge(left, right)
    present = left or right
    assert present is not None
    return LayerChange(
        status=status,
        path=present.path,
        left=_side(left),
        right=_side(right),
        parameters_delta=(right.parameters if right else 0) - (left.parameters if left else 0),
        bytes_delta=(right.bytes if right else 0) - (left.bytes if left else 0),
        explanation=explanation,
    )


def _align(left: list[Layer], right: list[Layer]) -> list[Pair]:
    """The pairing of least cost, by dynamic programming."""
    rows, columns = len(left), len(right)
    cost = [[GAP * (at + to) for to in range(columns + 1)] for at in range(rows + 1)]
    for at in range(1, rows + 1):
        for to in range(1, columns + 1):
            paired = cost[at - 1][to - 1] + _cost(left[at - 1], right[to - 1])
            cost[at][to] = min(paired, cost[at - 1][to] + GAP, cost[at][to - 1] + GAP)
    return _trace(cost, left, right)


def _trace(cost: list[list[float]], left: list[Layer], right: list[Layer]) -> list[Pair]:
    pairs: list[Pair] = []
    at, to = len(left), len(right)
    while at or to:
        here = cost[at][to]
        if at and to and here == cost[at - 1][to - 1] + _cost(left[at - 1], right[to - 1]):
            at, to = at - 1, to - 1
            pairs.append((left[at], right[to]))
        elif to and here == cost[at][to - 1] + GAP:
            to -= 1
            pairs.append((None, right[to]))
        else:
            at -= 1
            pairs.append((left[at], None))
    return pairs[::-1]


def _cost(left: Layer, right: Layer) -> float:
    """What it costs to call two layers counterparts; a changed pair costs less than two gaps."""
    if left.kind != right.kind:
        return NEVER
    ours, theirs = left.shape, right.shape
    extra = OTHER_NAME * (left.name != right.name) + OTHER_ROLE * (left.role != right.role)
    if left.shapes == right.shapes:
        return extra
    if ours[:1] == theirs[:1]:
        return SAME_OUT + extra
    return (SAME_IN if ours[1:] == theirs[1:] else NEITHER) + extra


def _by_name(left: list[Layer], right: list[Layer]) -> list[Pair]:
    theirs = {layer.name: layer for layer in right}
    known = {layer.name for layer in left}
    pairs: list[Pair] = [(layer, theirs.get(layer.name)) for layer in left]
    return [*pairs, *((None, layer) for layer in right if layer.name not in known)]


def _judge(left: Layer | None, right: Layer | None) -> tuple[Status, str]:
    if left is None:
        return "inserted", "only in the right file"
    if right is None:
        return "removed", "only in the left file"
    differences = [*_shape_words(left, right)]
    if left.dtype != right.dtype:
        differences.append(f"{left.dtype} → {right.dtype}")
    return ("changed", ", ".join(differences)) if differences else ("same", "")


def _shape_words(left: Layer, right: Layer) -> list[str]:
    ours, theirs = left.shape, right.shape
    words: list[str] = []
    if len(ours) == len(theirs) == 2:
        for what, a, b in (("input", ours[1], theirs[1]), ("output", ours[0], theirs[0])):
            words += [f"{what} {a:,} → {b:,}"] if a != b else []
    elif ours != theirs:
        words.append(f"{sizes(ours)} → {sizes(theirs)}")
    for name in [*left.tensors, *(name for name in right.tensors if name not in left.tensors)]:
        if name not in right.tensors or name not in left.tensors:
            words.append(f"{name} only {'left' if name in left.tensors else 'right'}")
        elif not words and left.tensors[name].shape != right.tensors[name].shape:
            words.append(f"{name} {sizes(left.tensors[name].shape)} → {sizes(right.tensors[name].shape)}")
    return words


def _side(layer: Layer | None) -> LayerSide | None:
    if layer is None:
        return None
    return LayerSide(layer.name, layer.role, layer.shape, layer.dtype, layer.parameters, layer.bytes)


def sizes(shape: tuple[int, ...]) -> str:
    """A tensor's shape as people write it."""
    return " x ".join(f"{size:,}" for size in shape) or "scalar"
