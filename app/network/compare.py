"""Two network shapes side by side: what differs, and which weights would load across."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from app.network.shape import DOCUMENTED, NetworkShape

FACTS = ("obs_dim", "action_dim", "action_kind", "layer_norm", "shared_trunk")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which two networks differ."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    what: str
    """The field, or the layer such as `hidden_dims[1]`."""
    left: int | str | None
    """The left network's value; None where it has no such layer."""
    right: int | str | None
    """The right network's value; None where it has no such layer."""
    sentence: str
    """The difference in words."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two networks relate."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    same: bool
    """Whether they are one and the same shape."""
    differences: tuple[Difference, ...]
    """What differs, from the input to the output."""
    weights_load: bool
    """Whether all weights of one load into the other, as `load_state_dict(strict=True)` demands."""
    loadable: tuple[str, ...]
    """Tensors of the same name and shape on both sides."""
    misfitting: tuple[str, ...]
    """Tensors that both have, in different shapes."""
    only_left: tuple[str, ...]
    """Tensors that only the left network has."""
    only_right: tuple[str, ...]
    """Tensors that only the right network has."""
    parameters_left: int
    """Parameters of the left network."""
    parameters_right: int
    """Parameters of the right network."""
    parameters_delta: int
    """Right minus left."""
    summary: str
    """All of it in words."""


def compare_shapes(left: NetworkShape, right: NetworkShape) -> Comparison:
    """Compare two networks layer by layer and tensor by tensor."""
    mine, theirs = dict(left.tensors), dict(right.tensors)
    shared = [name for name in mine if name in theirs]
    loadable = tuple(name for name in shared if mine[name] == theirs[name])
    differences = tuple(_differences(left, right))
    weights_load = mine == theirs
    delta = right.parameters - left.parameters
    return Comparison(
        same=not differences,
        differences=differences,
        weights_load=weights_load,
        loadable=loadable,
        misfitting=tuple(name for name in shared if mine[name] != theirs[name]),
        only_left=tuple(name for name in mine if name not in theirs),
        only_right=tuple(name for name in theirs if name not in mine),
        parameters_left=left.parameters,
        parameters_right=right.parameters,
        parameters_delta=delta,
        summary=_summary(differences, f"{len(loadable)} of {len(mine)}", delta, weights_load=weights_load),
    )


def _differences(left: NetworkShape, right: NetworkShape) -> Iterator[Difference]:
    first, *rest = FACTS
    yield from _fact(first, left, right)
    for index, (mine, theirs) in enumerate(itertools.zip_longest(left.hidden_dims, right.hidden_dims)):
        if mine != theirs:
            what = f"hidden_dims[{index}]"
            yield Difference(what, mine, theirs, _width_sentence(index + 1, mine, theirs))
    for name in rest:
        yield from _fact(name, left, right)


def _fact(name: str, left: NetworkShape, right: NetworkShape) -> Iterator[Difference]:
    mine, theirs = getattr(left, name), getattr(right, name)
    if mine != theirs:
        told = [str(value) if isinstance(value, bool) else value for value in (mine, theirs)]
        yield Difference(name, told[0], told[1], f"{name} is {mine} on the left, {theirs} on the right")


def _width_sentence(layer: int, left: int | None, right: int | None) -> str:
    if left is None:
        return f"trunk layer {layer} ({right} wide) exists only on the right"
    if right is None:
        return f"trunk layer {layer} ({left} wide) exists only on the left"
    return f"trunk layer {layer} is {left} wide on the left, {right} on the right"


def _summary(differences: tuple[Difference, ...], loadable: str, delta: int, *, weights_load: bool) -> str:
    if not differences:
        return "the same shape: all weights load across"
    told = "; ".join(difference.sentence for difference in differences)
    across = (
        "all weights load across" if weights_load else f"weights do not load across: {loadable} tensors would"
    )
    return f"{told}; {across}; {delta:+,} parameters on the right"
