"""A ledger of tensors that are made, shared and let go of, as autograd and Python's references do it.

Only sizes are kept, and these as they follow from the number of samples, which is not known here: what was walked
through once can be asked about any batch (moments.py). What is alive is counted by kind, so that each moment can be
told apart into its parts.
"""

from typing import Final, NamedTuple

BLOCK = 512
"""CUDA's allocator rounds every tensor up to this many bytes (c10/cuda, kMinBlockSize)."""

KINDS: Final = (
    "minibatch observations",
    "minibatch",
    "shuffled order",
    "observations",
    "activations",
    "activation gradients",
    "weight gradients",
    "bf16 copies",
    "loss",
    "first layer",
    "gradient norms and buckets",
    "optimizer temporaries",
    "actions",
    "environment step",
    "advantages",
)
"""What comes and goes during a rollout and an update."""

(
    PARTS,
    MINIBATCH,
    ORDER,
    OBSERVATIONS,
    ACTIVATIONS,
    GRADIENTS,
    WEIGHT_GRADIENTS,
    COPIES,
    LOSS,
    FIRST_LAYER,
    NORMS,
    STEP,
    ACTIONS,
    ENVIRONMENT,
    ADVANTAGES,
) = range(len(KINDS))

FIXED = 0
"""The unit of bytes that do not depend on the number of samples."""

Unit = int | str
"""What a size is reckoned in: FIXED bytes; tensors of so many bytes per sample; or a size that is told by name with the samples."""

Amount = tuple[Unit, int]
"""A unit and how many of it."""

Live = dict[tuple[int, Unit], int]
"""What is alive: of each kind, how many of each unit."""


class Mark(NamedTuple):
    """A moment, and what is alive then."""

    name: str
    live: Live
    """By kind and unit."""
    fixed: int
    """Of all kinds together, those bytes that are known."""
    slope: int
    """Bytes per sample, before any rounding to blocks."""
    tensors: int
    """How many of them are rounded."""
    named: tuple[tuple[str, int], ...]
    """What is told by name."""


def fixed(*sizes: int) -> Amount:
    """Tensors of these many bytes, each in whole blocks."""
    return FIXED, sum(map(blocks, sizes))


def each(size: int, count: int = 1) -> Amount:
    """So many tensors that have `size` bytes for each sample."""
    return (size, count) if size else (FIXED, 0)


def named(name: str) -> Amount:
    """A tensor whose bytes are told with the number of samples."""
    return name, 1


class Held:
    """A tensor's memory, or that of several, and how many refer to it."""

    __slots__ = ("amounts", "kind", "uses")

    def __init__(self, kind: int, amounts: tuple[Amount, ...]) -> None:
        self.kind = kind
        self.amounts = amounts
        self.uses = 1


class Tape:
    """What is alive, and the moments that were noted."""

    def __init__(self, phase: str = "") -> None:
        """`phase` begins the names of all moments, where others may have the same."""
        self._phase = f"{phase}: " if phase else ""
        self._live: Live = {}
        self._named: dict[str, int] = {}
        self._fixed = self._slope = self._tensors = 0
        self._marks: list[Mark] = []

    def make(self, kind: int, *amounts: Amount) -> Held:
        """New memory, referred to once."""
        held = Held(kind, amounts)
        self._add(kind, amounts, 1)
        return held

    def keep(self, held: Held) -> Held:
        """One more reference to it."""
        held.uses += 1
        return held

    def drop(self, *tensors: Held | None) -> None:
        """One reference less to each; with the last one it is freed."""
        for held in tensors:
            if held is not None:
                held.uses -= 1
                if not held.uses:
                    self._add(held.kind, held.amounts, -1)

    def mark(self, name: str) -> None:
        """Note this moment."""
        named = tuple((unit, count) for unit, count in self._named.items() if count)
        live = self._live.copy()
        self._marks.append(Mark(self._phase + name, live, self._fixed, self._slope, self._tensors, named))

    def pass_by(self, name: str, kind: int, *amounts: Amount) -> None:
        """Note the moment at which this memory exists as well, and is gone right after."""
        self._add(kind, amounts, 1)
        self.mark(name)
        self._add(kind, amounts, -1)

    @property
    def marks(self) -> tuple[Mark, ...]:
        """All moments noted, in the order of time."""
        return tuple(self._marks)

    def _add(self, kind: int, amounts: tuple[Amount, ...], sign: int) -> None:
        for unit, amount in amounts:
            key, count = (kind, unit), sign * amount
            self._live[key] = self._live.get(key, 0) + count
            if isinstance(unit, str):
                self._named[unit] = self._named.get(unit, 0) + count
            elif unit == FIXED:
                self._fixed += count
            else:
                self._slope += unit * count
                self._tensors += count


def blocks(size: int) -> int:
    """Bytes rounded up to whole allocator blocks."""
    return -(-size // BLOCK) * BLOCK
