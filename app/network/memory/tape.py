"""A ledger of tensors that are made, shared and let go of, as autograd and Python's references do it.

Only sizes are kept. What is alive is counted by kind, so that each moment can be told apart into its parts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import compress
from typing import Any, ClassVar, Final

from app.network.shape import DOCUMENTED

BLOCK = 512
"""CUDA's allocator rounds every tensor up to this many bytes (c10/cuda, kMinBlockSize)."""

KINDS: Final = (
    "observations",
    "activations",
    "activation gradients",
    "weight gradients",
    "bf16 copies",
    "loss",
    "first layer",
    "gradient norms and buckets",
    "optimizer temporaries",
)
"""What comes and goes during an update."""

OBSERVATIONS, ACTIVATIONS, GRADIENTS, WEIGHT_GRADIENTS, COPIES, LOSS, FIRST_LAYER, NORMS, STEP = range(
    len(KINDS)
)


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment of an update, and what is alive at it beyond the static part."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """What happens, such as `trunk.2 linear backward`."""
    bytes: int
    """Activations, their gradients and the weights' gradients alive then."""
    parts: dict[str, int]
    """The same by kind; kinds of which nothing is alive are left out."""


Mark = tuple[str, tuple[int, ...]]
"""A moment's name, and what was alive of each kind: an Instant not yet told apart."""


class Held:
    """A tensor's memory, and how many refer to it."""

    __slots__ = ("kind", "size", "uses")

    def __init__(self, kind: int, size: int) -> None:
        self.kind = kind
        self.size = size
        self.uses = 1


class Tape:
    """What is alive, and the moments that were noted."""

    def __init__(self) -> None:
        self._live = [0] * len(KINDS)
        self._marks: list[Mark] = []

    def make(self, kind: int, size: int) -> Held:
        """A new tensor of `size` bytes, in whole blocks, referred to once."""
        held = Held(kind, blocks(size))
        self._live[kind] += held.size
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
                    self._live[held.kind] -= held.size

    def mark(self, name: str) -> None:
        """Note this moment."""
        self._marks.append((name, tuple(self._live)))

    def pass_by(self, name: str, kind: int, *sizes: int) -> None:
        """Note the moment at which these tensors exist as well, and are gone right after."""
        live = list(self._live)
        live[kind] += sum(blocks(size) for size in sizes)
        self._marks.append((name, tuple(live)))

    @property
    def marks(self) -> tuple[Mark, ...]:
        """All moments noted, in the order of time."""
        return tuple(self._marks)


def find_peak(marks: Iterable[Mark]) -> Instant:
    """The moment with most bytes alive, the first of several."""
    return tell_apart(max(marks, key=lambda mark: sum(mark[1])))


def tell_apart(mark: Mark) -> Instant:
    """The moment with its parts by name."""
    name, live = mark
    return Instant(name, sum(live), _parts(live))


def blocks(size: int) -> int:
    """Bytes rounded up to whole allocator blocks."""
    return -(-size // BLOCK) * BLOCK


def _parts(live: tuple[int, ...]) -> dict[str, int]:
    return dict(zip(compress(KINDS, live), filter(None, live), strict=True))
