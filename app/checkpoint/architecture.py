"""What network the weights are: each fact with its basis, so that a reader knows what to believe."""

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from app.network.shape import DOCUMENTED

Basis = Literal["config", "shapes", "both", "graph", "undetermined"]
Value = int | bool | str | tuple[int, ...] | None
_DISAGREE = "the config says "


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact and what it rests on."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    value: Value
    """The fact; null where it cannot be told."""
    basis: Basis
    """What it was read from: the configuration, the tensors' shapes, both in agreement, or the graph: the
    operations or module classes that the file lists."""
    note: str = ""
    """Why it is undetermined, or how the sources disagree: then the shapes count."""

    @property
    def disagrees(self) -> bool:
        """Whether configuration and shapes say different things."""
        return self.basis in ("shapes", "graph") and self.note.startswith(_DISAGREE)


_NOT_LOOKED_FOR = Fact(None, "undetermined", "an older report: it was not looked for")


@dataclass(frozen=True, slots=True)
class Architecture:
    """The policy network in the file."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    obs_dim: Fact
    """Length of an observation: what the first layer takes; an image's is height times width times channels."""
    hidden_dims: Fact
    """Widths of the actor's hidden layers, or of the shared trunk; recurrent and convolutional layers are
    facts of their own."""
    action_dim: Fact
    """Number of actions; of components, where they are continuous, binary or multi-discrete."""
    action_kind: Fact
    """`discrete`, `multi_discrete`, `multi_binary`, `gaussian`, `beta`, or `deterministic`."""
    activation: Fact
    """The activation function; shapes cannot tell it."""
    shared_trunk: Fact
    """Whether actor and critic share a trunk."""
    layer_norm: Fact
    """Whether LayerNorm follows the layers."""
    recurrent: Fact
    """Whether it has an LSTM or GRU."""
    recurrent_kind: Fact = _NOT_LOOKED_FOR
    """`lstm`, `gru` or `rnn`; null where there is none."""
    recurrent_dim: Fact = _NOT_LOOKED_FOR
    """Width of the recurrent layer's state; null where there is none."""
    convolutional: Fact = _NOT_LOOKED_FOR
    """Whether convolutions come before the hidden layers."""
    action_nvec: Fact = _NOT_LOOKED_FOR
    """Choices of each component of a multi-discrete action; null for other actions."""
    actor_head: Fact = _NOT_LOOKED_FOR
    """Widths of the layers from the hidden ones to the action, its outputs last."""
    critic_hidden_dims: Fact = _NOT_LOOKED_FOR
    """Widths of the critic's own hidden layers; empty where it has only the shared ones."""

    @property
    def disagreements(self) -> tuple[str, ...]:
        """Every fact on which configuration and shapes differ, in words."""
        noted = ((field.name, getattr(self, field.name)) for field in fields(self))
        return tuple(f"{name}: {fact.note}" for name, fact in noted if fact.disagrees)


def merge(from_config: Value, from_shapes: Value, why_not: str = "the file does not say") -> Fact:
    """One fact of two sources; where they differ the shapes count and the note says so."""
    if from_shapes is None:
        basis: Basis = "undetermined" if from_config is None else "config"
        return Fact(from_config, basis, why_not if from_config is None else "")
    if from_config is None:
        return Fact(from_shapes, "shapes")
    if from_config == from_shapes:
        return Fact(from_shapes, "both")
    return Fact(from_shapes, "shapes", f"{_DISAGREE}{from_config}, the shapes say {from_shapes}")
