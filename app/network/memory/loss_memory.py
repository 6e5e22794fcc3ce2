"""What PPO's loss holds: numbers of tensors [B, A], [B] and of single values at its fullest moments.

Counted operation by operation on the trainer's own loss under a tracker (tests/benchmarks/test_memory.py holds whole
runs of the trainer to what follows). A clipped value loss adds four tensors [B], normalised advantages one, as large as the minibatch
that all processes have together.
"""

from dataclasses import dataclass

from app.network.memory.tape import BLOCK, FIXED, GRADIENTS, LOSS, Amount, Held, Tape, each
from app.network.memory.update_plan import FLOAT, UpdatePlan
from app.network.shape import NetworkShape

FIGURES = 6
"""The loss and five figures of it, which stay to the step's end."""


@dataclass(frozen=True, slots=True)
class _Counts:
    """Tensors at one moment."""

    per_action: int
    per_sample: int
    flags: int = 0
    """Booleans [B]."""
    action_flags: int = 0
    """Booleans [B, A]."""
    values: int = 0
    """Single values, a block each."""


# Beside the network's outputs [B, A] and [B]. Two moments each: which is the fuller depends on A.
FORWARD = {
    "discrete": (_Counts(2, 10, values=5), _Counts(4, 2)),
    "gaussian": (_Counts(1, 9, values=7), _Counts(4, 0, values=1)),
}
SAVED = {"discrete": _Counts(3, 4, values=FIGURES), "gaussian": _Counts(2, 4, values=FIGURES)}
"""Between forward and backward; the outputs are among them."""

BACKWARD = {
    "discrete": (_Counts(3, 9, flags=2, values=8), _Counts(5, 2, action_flags=1, values=9)),
    "gaussian": (_Counts(2, 9, flags=2, values=8), _Counts(6, 1, values=9)),
}
"""All that the loss has alive then."""

CLIPPED = 4
"""Tensors [B] that `clip_vloss` adds wherever the loss as a whole is alive."""


class LossMemory:
    """The loss of one minibatch on a tape."""

    def __init__(self, tape: Tape, shape: NetworkShape, plan: UpdatePlan) -> None:
        self._tape, self._kind, self._plan = tape, shape.action_kind, plan
        self._action = FLOAT * shape.action_dim
        self._joined = FLOAT * plan.processes
        clipped = (each(FLOAT, CLIPPED),) if plan.clip_vloss else ()
        self._extra = (*clipped, each(self._joined)) if plan.norm_adv else clipped
        self._held: Held | None = None

    def forward(self) -> None:
        """The loss is computed; the network's outputs are alive beside it."""
        full, early = FORWARD[self._kind]
        self._tape.pass_by("loss", LOSS, *self._size(full), *self._extra)
        self._tape.pass_by("log probabilities and entropy", LOSS, *self._size(early))
        if self._plan.processes > 1:
            # Shares, their concatenation, and two copies while it is normalised.
            joining = *self._size(_Counts(2, 3)), each(self._joined, 3)
            self._tape.pass_by("advantages of all processes", LOSS, *joining)

    def save(self) -> None:
        """The outputs are let go of; what backward needs stays."""
        self._held = self._tape.make(LOSS, *self._size(SAVED[self._kind]), *self._extra)

    def backward(self) -> tuple[Held, Held]:
        """Run back to the network; returns the gradients of its outputs [B, A] and [B]."""
        self._tape.drop(self._held)
        full, late = BACKWARD[self._kind]
        self._tape.pass_by("loss backward", LOSS, *self._size(full), *self._extra)
        self._tape.pass_by("log probabilities and entropy backward", LOSS, *self._size(late))
        self._held = self._tape.make(LOSS, (FIXED, BLOCK * (FIGURES + 1)))
        return self._tape.make(GRADIENTS, each(self._action)), self._tape.make(GRADIENTS, each(FLOAT))

    def _size(self, counts: _Counts) -> tuple[Amount, ...]:
        return (
            each(self._action, counts.per_action),
            each(FLOAT, counts.per_sample),
            each(1, counts.flags),
            each(self._action // FLOAT, counts.action_flags),
            (FIXED, BLOCK * counts.values),
        )
