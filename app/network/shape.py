"""The shape of a NativeActorCritic: its layers, tensors and exact parameter counts.

Trunk `hidden_dims`, then two heads, each Linear(h_L, 64) + activation + Linear(64, A or 1). With
`shared_trunk=False` actor and critic own a trunk each. LayerNorm, where asked for, follows each trunk
Linear and has a weight and a bias of the layer's width. A Gaussian policy adds one log_std per action.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

from app.errors import InvalidShape

HEAD_DIM = 64
"""Width of the hidden layer of both heads."""

ActionKind = Literal["discrete", "gaussian"]

DOCUMENTED: dict[str, Any] = {"use_attribute_docstrings": True}
"""Pydantic's setting that turns the attribute docstrings below into OpenAPI descriptions."""


@dataclass(frozen=True, slots=True)
class ShapeLimits:
    """What a network may measure at most; settings may lower or raise them."""

    max_layers: int = 16
    max_width: int = 65_536
    max_obs_dim: int = 10_000_000
    max_action_dim: int = 65_536


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer with parameters, as a row of the size table."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """Prefix of its tensors in the state dict, such as `trunk.0` or `actor.2`."""
    kind: Literal["linear", "layer_norm", "log_std"]
    """What the layer does."""
    in_features: int
    """Width of its input."""
    out_features: int
    """Width of its output."""
    parameters: int
    """Exact number of trained values, biases included."""
    share: float
    """Part of the whole network's parameters, 0 to 1."""


@dataclass(frozen=True)
class NetworkShape:
    """Everything that decides how many parameters a policy network has.

    Raises InvalidShape for a network that cannot exist or is past `limits`.
    """

    obs_dim: int
    hidden_dims: tuple[int, ...]
    action_dim: int = 3
    action_kind: ActionKind = "discrete"
    layer_norm: bool = False
    shared_trunk: bool = True
    limits: ShapeLimits = ShapeLimits()

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden_dims", tuple(self.hidden_dims))
        check_whole("obs_dim", self.obs_dim, self.limits.max_obs_dim)
        check_whole("action_dim", self.action_dim, self.limits.max_action_dim)
        check_hidden_dims(self.hidden_dims, self.limits)

    @cached_property
    def tensors(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Names and shapes of all tensors, in the order of the state dict and of the optimizer."""
        return tuple(self._tensors())

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The size table, in the order of the state dict."""
        return tuple(self._layers())

    @cached_property
    def parameters(self) -> int:
        """Exact number of trained values."""
        return sum(count_values(shape) for _, shape in self.tensors)

    @property
    def rule_of_thumb(self) -> int:
        """The project notes' rule: no biases, no output layers; obs·h1 + Σ h_i·h_{i+1} + h_L·64·2."""
        widths = (self.obs_dim, *self.hidden_dims)
        return sum(a * b for a, b in itertools.pairwise(widths)) + self.hidden_dims[-1] * HEAD_DIM * 2

    @property
    def first_layer_share(self) -> float:
        """Part of all parameters that the first layer (or both first layers) holds, 0 to 1."""
        first = [layer for layer in self.layers if layer.kind == "linear" and layer.name.endswith("trunk.0")]
        return sum(layer.parameters for layer in first) / self.parameters

    def _layers(self) -> Iterator[Layer]:
        sizes: dict[str, list[tuple[int, ...]]] = {}
        for name, shape in self.tensors:
            sizes.setdefault(name.removesuffix(".weight").removesuffix(".bias"), []).append(shape)
        for name, shapes in sizes.items():
            count = sum(count_values(shape) for shape in shapes)
            first = shapes[0]
            kind: Literal["linear", "layer_norm", "log_std"] = "linear" if len(first) == 2 else "layer_norm"
            kind = "log_std" if name == "log_std" else kind
            yield Layer(name, kind, first[-1], first[0], count, count / self.parameters)

    def _tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        if self.action_kind == "gaussian":
            yield "log_std", (self.action_dim,)
        for trunk in ("trunk",) if self.shared_trunk else ("actor_trunk", "critic_trunk"):
            yield from self._trunk(trunk)
        for head, out in (("actor", self.action_dim), ("critic", 1)):
            yield from _linear(f"{head}.0", self.hidden_dims[-1], HEAD_DIM)
            yield from _linear(f"{head}.2", HEAD_DIM, out)

    def _trunk(self, prefix: str) -> Iterator[tuple[str, tuple[int, ...]]]:
        stride = 3 if self.layer_norm else 2  # Linear, (LayerNorm,) activation in one nn.Sequential
        width = self.obs_dim
        for index, hidden in enumerate(self.hidden_dims):
            yield from _linear(f"{prefix}.{index * stride}", width, hidden)
            if self.layer_norm:
                yield f"{prefix}.{index * stride + 1}.weight", (hidden,)
                yield f"{prefix}.{index * stride + 1}.bias", (hidden,)
            width = hidden


def count_values(shape: tuple[int, ...]) -> int:
    """Number of values in a tensor of this shape."""
    total = 1
    for size in shape:
        total *= size
    return total


def check_hidden_dims(hidden_dims: tuple[int, ...], limits: ShapeLimits = ShapeLimits()) -> None:
    """Raise InvalidShape unless these widths can be a trunk."""
    if not hidden_dims:
        raise InvalidShape(
            "hidden_dims is empty", hint="give 1 or more widths, e.g. 512,256,128", pointer="hidden_dims"
        )
    if len(hidden_dims) > limits.max_layers:
        raise _past("hidden_dims layers", limits.max_layers, len(hidden_dims), "hidden_dims")
    for index, width in enumerate(hidden_dims):
        check_whole(f"hidden_dims[{index}]", width, limits.max_width)


def check_whole(name: str, value: int, most: int) -> None:
    """Raise unless `value` is a whole number from 1 to `most`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidShape(f"{name} is {value!r}", hint=f"a whole number from 1 to {most:,}", pointer=name)
    if value > most:
        raise _past(name, most, value, name)


def _past(name: str, limit: int, actual: int, pointer: str) -> InvalidShape:
    """A limit of the shape is one of its values (422), not of the request's size (413)."""
    detail = f"{name}: {actual:,} exceeds the limit of {limit:,}"
    members = {"limit_name": name, "limit": limit, "actual": actual}
    return InvalidShape(detail, hint=f"a whole number from 1 to {limit:,}", pointer=pointer, **members)


def _linear(prefix: str, width: int, out: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{prefix}.weight", (out, width)
    yield f"{prefix}.bias", (out,)
