"""The order of layers where only names and shapes are known: found where there is one, and said where there is not."""

import re
from dataclasses import dataclass, field
from itertools import pairwise

from app.checkpoint.layers import Layers

_NUMBER = re.compile(r"\d+")
_MOST_STEPS = 2_000
_MOST_LAYERS = 256

Numbers = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """A layer, and what its name says of its place."""

    name: str
    """The module's name."""
    out: int
    """Values that it gives."""
    inputs: int
    """Values that it takes."""
    rank: int = 0
    """Layers of a higher rank come after all those of a lower one."""
    is_cell: bool = False
    """Whether it is a recurrent layer."""

    @property
    def numbers(self) -> Numbers:
        """The numbers in its name."""
        return tuple(int(text[:9]) for text in _NUMBER.findall(self.name))


@dataclass(slots=True)
class Segment:
    """Layers that are numbered among themselves, so that their order is known."""

    layers: list[Placed] = field(default_factory=list)

    @property
    def rank(self) -> int:
        """The rank of its layers."""
        return self.layers[0].rank

    @property
    def are_heads(self) -> bool:
        """Whether its layers stand side by side: several on one input, which no chain explains."""
        shapes = [(layer.out, layer.inputs) for layer in self.layers]
        widths = {width for _, width in shapes}
        return len(shapes) > 1 and len(widths) == 1 and any(out not in widths for out, _ in shapes[:-1])

    @property
    def may_be_heads(self) -> bool:
        """Whether they chain, and might as well stand side by side: numbered without a gap for an activation."""
        numbers = [layer.numbers[-1:] for layer in self.layers]
        steps = {after[0] - before[0] for before, after in pairwise(numbers) if after}
        return len(self.layers) > 1 and len({layer.inputs for layer in self.layers}) == 1 and steps == {1}


def segments(layers: list[Placed]) -> list[Segment]:
    """The layers by their rank and what their names have before the first number, in order of their numbers."""
    found: dict[tuple[int, str], Segment] = {}
    for layer in layers:
        first = _NUMBER.search(layer.name)
        key = (layer.rank, layer.name[: first.start()] if first else layer.name)
        found.setdefault(key, Segment()).layers.append(layer)
    for segment in found.values():
        segment.layers.sort(key=lambda layer: layer.numbers)
    return list(found.values())


def only_order(parts: list[Segment]) -> list[Placed] | None:
    """The one order in which every layer takes what the one before gives; None where there is none, or another one.

    Two orders with the same widths are the same. Layers of a segment keep their order, ranks keep theirs.
    """
    if sum(len(part.layers) for part in parts) > _MOST_LAYERS:
        return None
    found: dict[tuple[tuple[int, ...], int], list[Placed]] = {}
    seen: set[tuple[tuple[int, ...], tuple[int, ...], int]] = set()
    waiting: list[tuple[tuple[int, ...], list[Placed]]] = [((0,) * len(parts), [])]
    for _ in range(_MOST_STEPS):
        if not waiting or len(found) > 1:
            break
        places, order = waiting.pop()
        state = (places, *shape_of(order))
        if state in seen:
            continue
        seen.add(state)
        choices = _next(parts, places, order)
        if not choices and all(at == len(part.layers) for at, part in zip(places, parts, strict=True)):
            found.setdefault(shape_of(order), order)
        waiting += choices
    return next(iter(found.values())) if len(found) == 1 and not waiting else None


def shape_of(order: list[Placed]) -> tuple[tuple[int, ...], int]:
    """(outputs of the layers that are no cell, inputs of the first layer): what two orders may differ in."""
    return tuple(layer.out for layer in order if not layer.is_cell), order[0].inputs if order else 0


def widths(order: list[Placed]) -> Layers:
    """The layers as (out, in), recurrent ones left out."""
    return [(layer.out, layer.inputs) for layer in order if not layer.is_cell]


def _next(
    parts: list[Segment], places: tuple[int, ...], order: list[Placed]
) -> list[tuple[tuple[int, ...], list[Placed]]]:
    """Every order with one layer more."""
    open_ranks = [part.rank for part, at in zip(parts, places, strict=True) if at < len(part.layers)]
    found = []
    for index, (part, at) in enumerate(zip(parts, places, strict=True)):
        if at == len(part.layers) or part.rank > min(open_ranks):
            continue
        layer = part.layers[at]
        if not order or order[-1].out == layer.inputs:
            moved = (*places[:index], at + 1, *places[index + 1 :])
            found.append((moved, [*order, layer]))
    return found
