"""Layers of a network on a tape: what each makes and saves going forward, and makes and frees going back.

Under bf16 autocast weights are copied once a step; the gradients of the copies are widened. LayerNorm runs in bf16 on a
CPU and in fp32 on CUDA, as autocast has it there.
"""

from collections.abc import Callable
from functools import partial

from app.network.memory.tape import ACTIVATIONS, COPIES, GRADIENTS, WEIGHT_GRADIENTS, Held, Tape
from app.network.memory.update_plan import FLOAT, UpdatePlan
from app.network.shape import NetworkShape, count_values

BFLOAT = 2
"""Bytes of one bf16 value."""

Step = Callable[[Held], Held | None]
"""Takes the gradient of what a layer gave, and returns that of what it was given."""


class Branch(list[Step]):
    """The backward steps of layers in the order of their forward pass."""


class LayerWalk:
    """Single layers of one minibatch."""

    def __init__(self, shape: NetworkShape, batch: int, plan: UpdatePlan) -> None:
        self.shape, self.batch, self.plan = shape, batch, plan
        self.tape = Tape()
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
        """Multiply; `given` None is the observation that the minibatch holds anyway."""
        first = name.endswith("trunk.0")
        weight = None
        if self.item != FLOAT:
            copies = [
                self.tape.make(COPIES, self.item * self.counts[f"{name}.{part}"])
                for part in ("bias", "weight")
            ]
            self.copies += copies
            weight = None if first else self.tape.keep(copies[1])
        wide = given if item != self.item else None
        if item != self.item:
            given = self.tape.make(COPIES, self.item * self.batch * widths[0])
        made = self.tape.make(ACTIVATIONS, self.item * self.batch * widths[1])
        self.tape.mark(f"{name} forward")
        self.tape.drop(wide)
        # The reference of whoever called becomes that of autograd, which saves what was multiplied.
        branch.append(
            partial(self._linear_backward, name, given, weight, (item, None if first else widths[0]))
        )
        return made, self.item

    def _activate(self, branch: Branch, name: str, given: Held | None, item: int, width: int) -> Held:
        assert given is not None
        size = item * self.batch * width
        made = self.tape.make(ACTIVATIONS, size)
        self.tape.mark(f"{name} activation forward")
        saved = self.tape.keep(given if self.keeps_input else made)
        self.tape.drop(given)
        branch.append(partial(self._activation_backward, name, saved, size))
        return made

    def _layer_norm(
        self, branch: Branch, name: str, given: Held | None, item: int, width: int
    ) -> tuple[Held, int]:
        assert given is not None
        if item != FLOAT and self.plan.device_type == "cuda":
            given, item = self._cast(branch, given, (item, FLOAT), self.batch * width, ACTIVATIONS), FLOAT
        size = item * self.batch * width
        made = self.tape.make(ACTIVATIONS, size)
        statistics = [self.tape.make(ACTIVATIONS, item * self.batch) for _ in range(2)]
        self.tape.mark(f"{name} layer norm forward")
        branch.append(partial(self._layer_norm_backward, name, [given, *statistics], size))
        return made, item

    def _cast(self, branch: Branch, given: Held, items: tuple[int, int], values: int, kind: int) -> Held:
        before, after = items
        made = self.tape.make(kind, after * values)
        self.tape.drop(given)
        branch.append(partial(self._cast_backward, before * values))
        return made

    def _linear_backward(
        self,
        name: str,
        given: Held | None,
        weight: Held | None,
        below_of: tuple[int, int | None],
        gradient: Held,
    ) -> Held | None:
        item, width = below_of
        kind = WEIGHT_GRADIENTS if self.item == FLOAT else COPIES
        below = None if width is None else self.tape.make(GRADIENTS, self.item * self.batch * width)
        made = [
            self.tape.make(kind, self.item * self.counts[f"{name}.{part}"]) for part in ("weight", "bias")
        ]
        self.tape.mark(f"{name} linear backward")
        self.tape.drop(gradient, given, weight)
        if below is not None and width is not None and item != self.item:
            below = self._cast_backward(item * self.batch * width, below)
        if name == "actor.0" and self.shape.shared_trunk:
            below = self._merge(below)
        if self.item != FLOAT:
            for held, part in zip(made, ("weight", "bias"), strict=True):
                self.tape.make(WEIGHT_GRADIENTS, FLOAT * self.counts[f"{name}.{part}"])
                self.tape.mark(f"{name}.{part} gradient widened")
                self.tape.drop(held)
        return below

    def _merge(self, of_actor: Held | None) -> Held:
        """Add both heads' gradients: out of place while a tracker looks on, else in place; this is the larger."""
        assert of_actor is not None
        merged = self.tape.make(GRADIENTS, of_actor.size)
        self.tape.mark("merge of both heads' gradients")
        self.tape.drop(self.waiting, of_actor)
        return merged

    def _activation_backward(self, name: str, saved: Held, size: int, gradient: Held) -> Held:
        made = self.tape.make(GRADIENTS, size)
        self.tape.mark(f"{name} activation backward")
        self.tape.drop(gradient, saved)
        return made

    def _layer_norm_backward(self, name: str, saved: list[Held], size: int, gradient: Held) -> Held:
        made = self.tape.make(GRADIENTS, size)
        for part in ("weight", "bias"):
            self.tape.make(WEIGHT_GRADIENTS, FLOAT * self.counts[f"{name}.{part}"])
        self.tape.mark(f"{name} layer norm backward")
        self.tape.drop(gradient, *saved)
        return made

    def _cast_backward(self, size: int, gradient: Held) -> Held:
        made = self.tape.make(GRADIENTS, size)
        self.tape.mark("gradient cast")
        self.tape.drop(gradient)
        return made
