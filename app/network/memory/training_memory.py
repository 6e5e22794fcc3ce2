"""Peak memory of one PPO update: which bytes are alive at which instant.

Every tensor takes whole blocks of 512 bytes, as CUDA's caching allocator gives them. W is that sum over all
weights. Alive all the time are 3W (weights and Adam's two moments) and the minibatch; on top of them the largest of
the instants that update_walk.py walks through: the same tensors, in the same order, as the trainer's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from app.network.memory.tape import BLOCK, Instant, Mark, blocks, find_peak, tell_apart
from app.network.memory.update_plan import FLOAT, UpdatePlan
from app.network.memory.update_walk import UpdateWalk
from app.network.shape import NetworkShape, count_values

MINIBATCH_SCALARS = (4, 4, 4, 4)
"""Bytes per sample that a minibatch holds beside observations and actions: log probability, old value,
advantage, return."""

ACTION_INDEX = 8
"""Bytes of a discrete action."""


@dataclass(frozen=True, slots=True)
class UpdateMemory:
    """The parts of an update's peak."""

    weights: int
    """W: all weights."""
    optimizer: int
    """Adam's two moments and step counters."""
    observations: int
    """The minibatch's observations where it holds them itself; those built from parts are among the instants."""
    minibatch: int
    """The minibatch's other tensors."""
    marks: tuple[Mark, ...]
    """Everything that comes and goes, moment by moment."""
    peak_instant: Instant
    """The moment with the most bytes alive."""

    @property
    def instants(self) -> tuple[Instant, ...]:
        """All moments with their parts; made when asked for, as a search through many batches needs the peak alone."""
        return tuple(map(tell_apart, self.marks))

    @property
    def peak(self) -> int:
        """Most bytes alive at once."""
        static = self.weights + self.optimizer + self.observations + self.minibatch
        return static + self.peak_instant.bytes


DEFAULT_PLAN = UpdatePlan()


@lru_cache(maxsize=256)
def update_memory(shape: NetworkShape, minibatch_size: int, plan: UpdatePlan = DEFAULT_PLAN) -> UpdateMemory:
    """Memory of one optimizer step over `minibatch_size` samples."""
    # Fused Adam counts its steps on the device; the others do so on the host, for a block each there.
    counters = BLOCK * len(shape.tensors)
    stored = plan.first is None and not plan.built
    marks = UpdateWalk(shape, minibatch_size, plan).run()
    return UpdateMemory(
        weights=weight_bytes(shape),
        optimizer=2 * weight_bytes(shape) + counters,
        observations=blocks(FLOAT * minibatch_size * shape.obs_dim) if stored else 0,
        minibatch=sum(blocks(size * minibatch_size) for size in _minibatch(shape)),
        marks=marks,
        peak_instant=find_peak(marks),
    )


def weight_bytes(shape: NetworkShape) -> int:
    """W = Σ over tensors of 512·ceil(4n / 512)."""
    return sum(blocks(FLOAT * count_values(size)) for _, size in shape.tensors)


def _minibatch(shape: NetworkShape) -> Iterator[int]:
    yield from MINIBATCH_SCALARS
    yield FLOAT * shape.action_dim if shape.action_kind == "gaussian" else ACTION_INDEX
