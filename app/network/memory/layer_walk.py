"""Layers of a network on a tape: what each makes and saves going forward, and makes and frees going back.

Sizes are those of one sample. Where nothing is learned, as in a rollout, nothing is saved. Under bf16 autocast weights are copied once a step; the gradients of the copies are widened. LayerNorm runs in bf16 on a
CPU and in fp32 on CUDA, as autocast has it there.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from app.network.memory.tape import (
    ACTIVATIONS,
    COPIES,
    GRADIENTS,
    WEIGHT_GRADIENTS,
    Held,
    Tape,
    each,
    fixed,
)
from app.network.memory.update_plan import FLOAT, UpdatePlan
from app.network.shape import NetworkShape, count_values

BFLOAT = 2
"""Bytes of one bf16 value."""

Step = Callable[[Held], Held | None]
"""Takes the gradient of what a layer gave, and returns that of what it was given."""


class Branch(list[Step]):
    """The backward steps of layers in the order of their forward pass."""


class _Below(NamedTuple):
    """What a layer was given."""

    item: int
    """Bytes of a value."""
    width: int | None
    """Values; None where nothing below wants a gradient."""


class LayerWalk:
    """Single layers of one minibatch, or of all environments in a rollout."""

    learns = True
    """Whether autograd looks on, and saves what it will need."""
    phase = ""
    """What begins the names of all moments."""

    def __init__(self, shape: NetworkShape, plan: UpdatePlan) -> None:
        self.shape, self.plan = shape, plan
        self.tape = Tape(self.phase)
        self.counts = {name: count_values(size) for name, size in shape.tensors}
        self.item = BFLOAT if plan.precision == "bf16" else FLOAT
        self.keeps_input = plan.activation in {
            "elu",
            "silu",
        }  # these save what went in, tanh and relu what came out
        self.copies: list[Held] = []
        self.waiting: Held | None = None

    def _linear(
        self, branch: Branch, name: str, given: Held | None, item: int, widths: tuple[int, int]
    ) -> tuple[Held, int]:
        """Multiply; `given` None is the observation that is there anyway."""
        first = name.endswith("trunk.0")
        weight = None
        if self.item != FLOAT:
            copies = [
                self.tape.make(COPIES, fixed(self.item * self.counts[f"{name}.{part}"]))
                for part in ("bias", "weight")
            ]
            self.copies += copies
            weight = self.tape.keep(copies[1]) if self.learns and not first else None
        wide = given if item != self.item else None
        if item != self.item:
            given = self.tape.make(COPIES, each(self.item * widths[0]))
        made = self.tape.make(ACTIVATIONS, each(self.item * widths[1]))
        self.tape.mark(f"{name} forward")
        self.tape.drop(wide)
        if self.learns:
            # The reference of whoever called becomes that of autograd, which saves what was multiplied.
            branch.append(
                partial(
                    self._linear_backward, name, given, weight, _Below(item, None if first else widths[0])
                )
            )
        else:
            self.tape.drop(given)
        return made, self.item

    def _activate(self, branch: Branch, name: str, given: Held | None, item: int, width: int) -> Held:
        assert given is not None
        made = self.tape.make(ACTIVATIONS, each(item * width))
        self.tape.mark(f"{name} activation forward")
        if self.learns:
            saved = self.tape.keep(given if self.keeps_input else made)
            branch.append(partial(self._activation_backward, name, saved, item * width))
        self.tape.drop(given)
        return made

    def _layer_norm(
        self, branch: Branch, name: str, given: Held | None, item: int, width: int
    ) -> tuple[Held, int]:
        assert given is not None
        narrow = None
        if item != FLOAT and self.plan.device_type == "cuda":
            narrow = self.tape.keep(given)  # by whoever called
            given, item = self._cast(branch, given, (item, FLOAT), width, ACTIVATIONS), FLOAT
        made = self.tape.make(ACTIVATIONS, each(item * width))
        statistics = self.tape.make(ACTIVATIONS, each(FLOAT, 2))  # of bf16 values too
        self.tape.mark(f"{name} layer norm forward")
        self.tape.drop(narrow)
        if self.learns:
            branch.append(partial(self._layer_norm_backward, name, (given, statistics), item * width))
        else:
            self.tape.drop(given, statistics)
        return made, item

    def _cast(self, branch: Branch, given: Held, items: tuple[int, int], values: int, kind: int) -> Held:
        before, after = items
        made = self.tape.make(kind, each(after * values))
        self.tape.mark("widened")
        self.tape.drop(given)
        if self.learns:
            branch.append(partial(self._cast_backward, before * values))
        return made

    def _linear_backward(
        self,
        name: str,
        given: Held | None,
        weight: Held | None,
        source: _Below,
        gradient: Held,
    ) -> Held | None:
        item, width = source
        kind = WEIGHT_GRADIENTS if self.item == FLOAT else COPIES
        below = None if width is None else self.tape.make(GRADIENTS, each(self.item * width))
        made = [
            self.tape.make(kind, fixed(self.item * self.counts[f"{name}.{part}"]))
            for part in ("weight", "bias")
        ]
        self.tape.mark(f"{name} linear backward")
        self.tape.drop(gradient, given, weight)
        if below is not None and width is not None and item != self.item:
            below = self._cast_backward(item * width, below)
        if name == "actor.0" and self.shape.shared_trunk:
            below = self._merge(below)
        if self.item != FLOAT:
            for held, part in zip(made, ("weight", "bias"), strict=True):
                self.tape.make(WEIGHT_GRADIENTS, fixed(FLOAT * self.counts[f"{name}.{part}"]))
                self.tape.mark(f"{name}.{part} gradient widened")
                self.tape.drop(held)
        return below

    def _merge(self, of_actor: Held | None) -> Held:
        """Add both heads' gradients: out of place while a tracker looks on, else in place; this is the larger."""
        assert of_actor is not None
        merged = self.tape.make(GRADIENTS, *of_actor.amounts)
        self.tape.mark("merge of both heads' gradients")
        self.tape.drop(self.waiting, of_actor)
        return merged

    def _activation_backward(self, name: str, saved: Held, size: int, gradient: Held) -> Held:
        made = self.tape.make(GRADIENTS, each(size))
        self.tape.mark(f"{name} activation backward")
        self.tape.drop(gradient, saved)
        return made

    def _layer_norm_backward(self, name: str, saved: tuple[Held, ...], size: int, gradient: Held) -> Held:
        made = self.tape.make(GRADIENTS, each(size))
        for part in ("weight", "bias"):
            self.tape.make(WEIGHT_GRADIENTS, fixed(FLOAT * self.counts[f"{name}.{part}"]))
        self.tape.mark(f"{name} layer norm backward")
        self.tape.drop(gradient, *saved)
        return made

    def _cast_backward(self, size: int, gradient: Held) -> Held:
        made = self.tape.make(GRADIENTS, each(size))
        self.tape.mark("gradient cast")
        self.tape.drop(gradient)
        return made
