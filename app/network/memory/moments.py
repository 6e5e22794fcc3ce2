"""The moments that a walk has noted, told for any number of samples: the largest one, and what each consists of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from app.network.memory.tape import BLOCK, FIXED, KINDS, Mark, Unit, blocks
from app.network.shape import DOCUMENTED


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment of a rollout or an update, and what is alive at it beyond what always is."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """What happens, such as `trunk.2 linear backward`."""
    bytes: int
    """All that comes and goes and is alive then."""
    parts: dict[str, int]
    """The same by kind; kinds of which nothing is alive are left out."""


@dataclass(frozen=True, slots=True)
class Batch:
    """For what moments are told: a number of samples, and the sizes that do not simply grow with it, by name."""

    samples: int
    sizes: Mapping[str, int]

    def bytes(self, unit: Unit) -> int:
        """Of one tensor of this unit."""
        if isinstance(unit, str):
            return self.sizes[unit]
        return blocks(unit * self.samples) if unit != FIXED else 1


class Moments:
    """Named moments in the order of time, for any batch."""

    def __init__(self, marks: Sequence[Mark]) -> None:
        self._marks = tuple(marks)

    def peak(self, batch: Batch) -> int:
        """Most bytes alive at once."""
        return max((size for _, size in self._near_peak(batch)), default=0)

    def peak_instant(self, batch: Batch) -> Instant:
        """The moment with most bytes alive, the first of several."""
        place, _ = max(self._near_peak(batch), key=lambda found: found[1])
        return _tell_apart(self._marks[place], batch)

    def instants(self, batch: Batch) -> tuple[Instant, ...]:
        """All moments with their parts."""
        return tuple(_tell_apart(mark, batch) for mark in self._marks)

    def _near_peak(self, batch: Batch) -> list[tuple[int, int]]:
        """Place and bytes of the few moments that rounding alone could keep from being the largest one."""
        unrounded = [self._unrounded(mark, batch) for mark in self._marks]
        least = max(unrounded, default=0)
        return [
            (place, _bytes(mark, batch))
            for place, (mark, size) in enumerate(zip(self._marks, unrounded, strict=True))
            if size + (BLOCK - 1) * mark.tensors >= least
        ]

    @staticmethod
    def _unrounded(mark: Mark, batch: Batch) -> int:
        size = mark.fixed + mark.slope * batch.samples
        for name, count in mark.named:
            size += batch.sizes[name] * count
        return size


def _bytes(mark: Mark, batch: Batch) -> int:
    return sum(batch.bytes(unit) * count for (_, unit), count in mark.live.items() if count)


def _tell_apart(mark: Mark, batch: Batch) -> Instant:
    sizes = [0] * len(KINDS)
    for (kind, unit), count in mark.live.items():
        sizes[kind] += count * batch.bytes(unit)
    parts = {kind: size for kind, size in zip(KINDS, sizes, strict=True) if size}
    return Instant(mark.name, sum(sizes), parts)
