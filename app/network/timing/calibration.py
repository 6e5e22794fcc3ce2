"""What a device was measured to do: the speeds from which training time is predicted.

`python -m worker.calibrate` measures them in seconds, in turns; training_time.py uses them. All times are
seconds; a `Spread` holds the fastest, the median and the slowest of several turns.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from statistics import median
from typing import Any, ClassVar, Literal, Self

from app.network.shape import DOCUMENTED

CLOSED: dict[str, Any] = {**DOCUMENTED, "extra": "forbid"}
"""Pydantic's settings of what is also read: a field of another name is refused."""

Case = Literal["fastest", "typical", "slowest"]
"""Which of the turns a prediction goes by."""

CASES: tuple[Case, ...] = ("fastest", "typical", "slowest")

TablePrecision = Literal["fp32", "tf32", "bf16"]
Layout = Literal["nn", "nt", "tn", "batched"]
Stream = Literal["copy", "gather", "scatter", "layer_norm", "layer_norm_backward"]
Part = Literal["forward", "backward", "ahead", "acting"]

STREAMS: tuple[Stream, ...] = ("copy", "gather", "scatter", "layer_norm", "layer_norm_backward")
ACTIVATIONS = ("tanh", "relu", "elu", "silu")


@dataclass(frozen=True, slots=True)
class Spread:
    """One quantity over the turns of a calibration."""

    __pydantic_config__: ClassVar[dict[str, Any]] = CLOSED

    fastest: float
    """The shortest of the turns."""
    typical: float
    """Their median."""
    slowest: float
    """Nine of ten turns took no longer."""

    @classmethod
    def of(cls, samples: list[float]) -> Self:
        """The spread of these samples, at least one."""
        ranked = sorted(samples)
        return cls(ranked[0], median(ranked), ranked[math.ceil(0.9 * len(ranked)) - 1])

    def scaled(self, factor: float) -> "Spread":
        """All three times `factor`."""
        return Spread(self.fastest * factor, self.typical * factor, self.slowest * factor)

    def at(self, case: Case) -> float:
        """The value of this case."""
        value: float = getattr(self, case)
        return value


@dataclass(frozen=True, slots=True)
class ProductTable:
    """Seconds per operation of matrix products [rows, inner] · [inner, columns], by their three sizes.

    Entry (i, j, k) of the grid, at place (i·n + j)·n + k, is rows = levels[i], inner = levels[j],
    columns = levels[k].
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = CLOSED

    precision: TablePrecision
    """Arithmetic of the products."""
    layout: Layout
    """`nn` plain, `nt` right factor transposed (a layer's forward), `tn` left factor transposed (a weight's
    gradient), `batched` many small ones at once."""
    levels: tuple[int, ...]
    """Sizes that were measured, ascending; of each dimension the same."""
    fastest: tuple[float, ...]
    """Seconds per floating point operation, the shortest of the turns."""
    typical: tuple[float, ...]
    """Their median."""
    slowest: tuple[float, ...]
    """Nine of ten turns took no longer."""

    @classmethod
    def of(
        cls,
        precision: TablePrecision,
        layout: Layout,
        levels: tuple[int, ...],
        per_flop: Mapping[tuple[int, int, int], Spread],
    ) -> "ProductTable":
        """The table of these measurements, by sizes; none is faster than a smaller product.

        Noise may say otherwise, and a prediction by it that more work takes less time.
        """
        fastest, typical, slowest = (_steady(levels, per_flop, case) for case in CASES)
        return cls(precision, layout, levels, fastest, typical, slowest)

    def seconds_per_flop(self, rows: float, inner: float, columns: float, case: Case) -> float:
        """Between the measured sizes by the logarithms; above the largest as there.

        Below the smallest the larger factor is read for fewer operations: as many seconds in all as there.
        """
        places = [self._place(size) for size in (rows, inner, columns)]
        few = math.prod(max(1.0, self.levels[0] / size) for size in (rows, inner, columns))
        return math.exp(self._interpolate(places, getattr(self, case))) * few

    def _place(self, size: float) -> tuple[int, float]:
        """The level below, and how far the size is on the way to the next, 0 to 1."""
        levels = self.levels
        bounded = min(max(size, levels[0]), levels[-1])
        below = max(index for index in range(len(levels) - 1) if levels[index] <= bounded)
        share = math.log(bounded / levels[below]) / math.log(levels[below + 1] / levels[below])
        return below, share

    def _interpolate(self, places: list[tuple[int, float]], values: tuple[float, ...]) -> float:
        count, total = len(self.levels), 0.0
        for corner in range(8):
            place, weight = 0, 1.0
            for axis, (below, share) in enumerate(places):
                upper = corner >> axis & 1
                place = place * count + below + upper
                weight *= share if upper else 1 - share
            total += weight * math.log(values[place]) if weight else 0.0
        return total


def _steady(
    levels: tuple[int, ...], per_flop: Mapping[tuple[int, int, int], Spread], case: Case
) -> tuple[float, ...]:
    """Each product at least as long as those that are smaller in one size."""
    seconds: dict[tuple[int, ...], float] = {}
    for place in product(range(len(levels)), repeat=3):
        sizes = (levels[place[0]], levels[place[1]], levels[place[2]])
        smaller = [(*place[:axis], place[axis] - 1, *place[axis + 1 :]) for axis in range(3)]
        least = max((seconds[each] for each in smaller if each in seconds), default=0.0)
        seconds[place] = max(least, per_flop[sizes].at(case) * math.prod(sizes))
    return tuple(taken / math.prod(levels[index] for index in place) for place, taken in seconds.items())


@dataclass(frozen=True, slots=True)
class StreamRate:
    """An operation whose time is that of reading and writing values."""

    __pydantic_config__: ClassVar[dict[str, Any]] = CLOSED

    name: Stream
    """What is done with each value."""
    seconds: Spread
    """Seconds per fp32 value."""


@dataclass(frozen=True, slots=True)
class ActivationRate:
    """An activation function."""

    __pydantic_config__: ClassVar[dict[str, Any]] = CLOSED

    name: str
    """`tanh`, `relu`, `elu` or `silu`."""
    forward: Spread
    """Seconds per value."""
    backward: Spread
    """Seconds per value of its gradient."""


@dataclass(frozen=True, slots=True)
class AdamRate:
    """Gradient clip and Adam's step at one size."""

    __pydantic_config__: ClassVar[dict[str, Any]] = CLOSED

    parameters: int
    """Parameters that were stepped."""
    seconds: Spread
    """Seconds per parameter."""


@dataclass(frozen=True, slots=True)
class LoopCosts:
    """What the loop around the network costs, from a tiny synthetic run; the network's own products taken out."""

    __pydantic_config__: ClassVar[dict[str, Any]] = CLOSED

    operation: Spread
    """Seconds that any operation costs whatever its size: call or launch."""
    update: Spread
    """Once an update."""
    step: Spread
    """A step of all environments: acting, sampling, environment, buffer."""
    env_step: Spread
    """For each environment, in addition."""
    advantage_step: Spread
    """A step of generalised advantage estimation."""
    gather: Spread
    """Taking a minibatch out of the buffer."""
    gather_sample: Spread
    """For each of its samples, in addition."""
    minibatch: Spread
    """An optimizer step of the smallest network: loss, gradient, figures."""
    sample: Spread
    """For each sample of it, in addition."""


@dataclass(frozen=True, slots=True)
class Correction:
    """Measured over modelled time of a part of the real network at one size.

    What the tables of products and streams leave out: cold caches, and what happens between the operations.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = CLOSED

    what: str
    """`network`, or the first layer's way: `direct` (windows written out), `convolution`."""
    part: Part
    """`forward` and `backward` of learning, `ahead` of a rollout, or `acting` within it."""
    width: int
    """Outputs of the first layer in the case that was measured."""
    samples: int
    """Samples of a minibatch in that case, or rows of a step."""
    ratio: Spread
    """Measured over modelled."""


@dataclass(frozen=True, slots=True)
class MachineLoad:
    """How busy the machine was with other work while it was measured."""

    __pydantic_config__: ClassVar[dict[str, Any]] = CLOSED

    load_average: float
    """Runnable processes over the last minute, before the measurement began."""
    busy_percent: float | None
    """Part of all processors' time that others used just before; null where the system does not say."""
    waiting_percent: float | None
    """Part of the measured time in which some process waited for a processor (Linux PSI `cpu some`); null
    where the system does not say."""
    stolen_percent: float | None
    """Part of it that the hypervisor gave to others; null where the system does not say."""
    cpus: int
    """Processors of the machine."""
    loaded: bool
    """Whether that is beyond what a calibration should be taken under."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A device as it was measured at one moment."""

    __pydantic_config__: ClassVar[dict[str, Any]] = CLOSED

    device: str
    """Name of the device: the card's, or the processor's with its number of threads."""
    device_type: Literal["cpu", "cuda"]
    """Where its tensors live."""
    threads: int
    """Threads that torch used on the host."""
    versions: dict[str, str]
    """torch, CUDA, driver, and Caliper itself."""
    measured_at: datetime
    """When, with its zone."""
    seconds: float
    """How long it took."""
    turns: int
    """How often each quantity was measured."""
    clock: Literal["wall", "processor"]
    """What was counted: time, or processor seconds of all threads, which other work on the machine disturbs less."""
    load: MachineLoad
    """What else ran."""
    products: tuple[ProductTable, ...]
    """Matrix products."""
    streams: tuple[StreamRate, ...]
    """Copies and the like."""
    activations: tuple[ActivationRate, ...]
    """Activation functions."""
    adam: tuple[AdamRate, ...]
    """The optimizer's step, from small to large."""
    loop: LoopCosts
    """The loop around the network."""
    corrections: tuple[Correction, ...]
    """Where the real network takes more or less than its parts."""
    unsteadiness: float = 1.0
    """Mean time of a whole turn over the sum of its quantities' medians: medians leave out the interruptions that
    every long run meets."""

    def __hash__(self) -> int:
        """By device and moment: an equal calibration has equal ones."""
        return hash((self.device, self.measured_at, self.clock))

    @property
    def precisions(self) -> frozenset[str]:
        """Arithmetics of which the device was measured."""
        return frozenset(table.precision for table in self.products)
