"""What network the weights are: each fact with its basis, so that a reader knows what to believe."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from app.checkpoint.values import Array, Table, Tensor
from app.network.shape import DOCUMENTED

Basis = Literal["config", "shapes", "both", "undetermined"]
Value = int | bool | str | tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact and what it rests on."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    value: Value
    """The fact; null where it cannot be told."""
    basis: Basis
    """What it was read from: the configuration, the tensors' shapes, or both in agreement."""
    note: str = ""
    """Why it is undetermined, or how the sources disagree: then the shapes count."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """The policy network in the file."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    obs_dim: Fact
    """Length of an observation."""
    hidden_dims: Fact
    """Widths of the actor's hidden layers, or of the shared trunk."""
    action_dim: Fact
    """Number of actions, or of action components."""
    action_kind: Fact
    """`discrete` or `gaussian`."""
    activation: Fact
    """The activation function; shapes cannot tell it."""
    shared_trunk: Fact
    """Whether actor and critic share a trunk."""
    layer_norm: Fact
    """Whether LayerNorm follows the layers."""
    recurrent: Fact
    """Whether it has an LSTM or GRU."""

    @property
    def disagreements(self) -> tuple[str, ...]:
        """Every fact on which configuration and shapes differ, in words."""
        noted = ((field.name, getattr(self, field.name)) for field in fields(self))
        return tuple(f"{name}: {fact.note}" for name, fact in noted if fact.note and fact.basis == "shapes")


def merge(from_config: Value, from_shapes: Value, why_not: str = "the file does not say") -> Fact:
    """One fact of two sources; where they differ the shapes count and the note says so."""
    if from_shapes is None:
        basis: Basis = "undetermined" if from_config is None else "config"
        return Fact(from_config, basis, why_not if from_config is None else "")
    if from_config is None:
        return Fact(from_shapes, "shapes")
    if from_config == from_shapes:
        return Fact(from_shapes, "both")
    return Fact(from_shapes, "shapes", f"the config says {from_config}, the shapes say {from_shapes}")


def shapes_of(state: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a state dict's tensors."""
    pairs = state.index().items() if isinstance(state, Table) else ()
    return {name: value.shape for name, value in pairs if isinstance(value, (Tensor, Array))}


_INDEXED = re.compile(r"^(?P<stack>.*?)\.?(?P<index>\d+)\.weight$")


def stacks(shapes: dict[str, tuple[int, ...]]) -> dict[str, list[tuple[int, int]]]:
    """Linear layers by the Sequential that holds them, as (out, in), in order of their index."""
    found: dict[str, list[tuple[int, int, int]]] = {}
    for name, shape in shapes.items():
        if len(shape) != 2 or not name.endswith("weight"):
            continue
        matched = _INDEXED.match(name)
        stack = matched["stack"] if matched else name.removesuffix(".weight")
        index = int(matched["index"][:9]) if matched else 0
        found.setdefault(stack, []).append((index, shape[0], shape[1]))
    return {stack: [(out, width) for _, out, width in sorted(rows)] for stack, rows in found.items()}


def is_chain(layers: Iterable[tuple[int, int]]) -> bool:
    """Whether each layer's input is the output of the one before."""
    rows = list(layers)
    return bool(rows) and all(rows[at][0] == rows[at + 1][1] for at in range(len(rows) - 1))


def is_recurrent(shapes: dict[str, tuple[int, ...]]) -> bool:
    """Whether LSTM or GRU weights are among the tensors."""
    return any("weight_ih" in name or "weight_hh" in name for name in shapes)


def has_layer_norm(shapes: dict[str, tuple[int, ...]]) -> bool:
    """Whether a one-dimensional weight, which only a normalisation has, is among the tensors."""
    return any(name.endswith("weight") and len(shape) == 1 for name, shape in shapes.items())
