"""The seam of all recipes: how a producer's tree is known, where its parts are, what network it holds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.checkpoint.architecture import (
    Architecture,
    Fact,
    Value,
    has_layer_norm,
    is_chain,
    is_recurrent,
    merge,
)
from app.checkpoint.values import Name, fields_of

Shapes = dict[str, tuple[int, ...]]
Layers = list[tuple[int, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Where in a producer's tree the parts of a checkpoint are."""

    weights_path: str = ""
    """Path of the state dict; empty where it is the root itself."""
    state: Any = None
    """The network's state dict."""
    optimizer_path: str = "\0"
    """Path of the optimizer's state; a path that no tensor has where there is none."""
    optimizer: Any = None
    """The optimizer's state dict."""
    config: Any = None
    """The configuration: a dict or an object."""
    feature_schema: Any = None
    """The observation's features."""
    versions: Any = None
    """What wrote the file."""
    dataset: Any = None
    """What it was trained on."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to read one producer's files."""

    producer: str
    """Name of the software that writes them."""
    recognise: Callable[[Any], bool]
    """Whether a tree is one of its."""
    parts: Callable[[Any], Parts]
    """Where the parts are."""
    read: Callable[[Any], Architecture]
    """The network."""


@dataclass(frozen=True, slots=True)
class Network:
    """What shapes tell of an actor-critic: layers as (out, in) in order."""

    shapes: Shapes
    actor: Layers
    critic: Layers
    trunk: Layers | None = None
    action_kind: str | None = None
    log_std: str = ""

    def architecture(self, config: Any = None) -> Architecture:
        """All facts, those of the shapes joined with those of the configuration."""
        said = _Said(config)
        first = self.trunk or self.actor
        hidden = self.trunk if self.trunk is not None else self.actor[:-1]
        chained = is_chain(first) and (
            not self.trunk or not self.actor or self.trunk[-1][0] == self.actor[0][1]
        )
        recurrent = is_recurrent(self.shapes)
        why = "the layers form no chain" if self.actor and not chained else "the file does not say"
        return Architecture(
            obs_dim=merge(said.whole("obs_dim", "num_observations"), _obs_dim(self, first), why),
            hidden_dims=merge(said.widths(), tuple(out for out, _ in hidden) if chained else None, why),
            action_dim=merge(
                said.whole("action_dim", "num_actions"), self.actor[-1][0] if self.actor else None, why
            ),
            action_kind=self._action_kind(said),
            activation=merge(
                said.text("activation", "activation_fn"), None, "shapes cannot tell an activation"
            ),
            shared_trunk=merge(
                said.flag("shared_trunk"), self._shares() if self.actor and self.critic else None
            ),
            layer_norm=merge(said.flag("layer_norm"), has_layer_norm(self.shapes) if self.shapes else None),
            recurrent=merge(None, recurrent if self.shapes else None),
        )

    def _action_kind(self, said: "_Said") -> Fact:
        has_log_std = bool(self.log_std) and self.log_std in self.shapes
        kind = "gaussian" if has_log_std else self.action_kind
        return merge(said.text("action_kind"), kind)

    def _shares(self) -> bool:
        return self.trunk is not None


def _obs_dim(network: Network, first: Layers) -> int | None:
    """The first layer's input; with an LSTM before it, the LSTM's."""
    recurrent = [
        shape[-1] for name, shape in network.shapes.items() if "weight_ih" in name and len(shape) == 2
    ]
    if recurrent:
        return recurrent[0]
    return first[0][1] if first else None


class _Said:
    """A configuration's fields, each only where it has the right kind."""

    def __init__(self, config: Any) -> None:
        table = fields_of(config)
        self._fields = table.index() if table is not None else {}

    def whole(self, *names: str) -> int | None:
        return next((v for n in names if type(v := self._fields.get(n)) is int and abs(v) < 1 << 63), None)

    def flag(self, name: str) -> bool | None:
        value = self._fields.get(name)
        return value if isinstance(value, bool) else None

    def text(self, *names: str) -> str | None:
        found = next((v for n in names if isinstance(v := self._fields.get(n), (str, Name))), None)
        return found.name.lower()[:64] if isinstance(found, Name) else found[:64] if found else None

    def widths(self) -> Value:
        for name in ("hidden_dims", "hidden_sizes", "actor_hidden_dims", "net_arch"):
            value = self._fields.get(name)
            if isinstance(value, (list, tuple)) and value and all(type(item) is int for item in value[:64]):
                return tuple(value[:64])
        return None
