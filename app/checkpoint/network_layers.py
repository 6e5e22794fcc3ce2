"""The network of a report as state dict and as layers, each with its role, parameters and bytes."""

import math
from dataclasses import dataclass, field

from app.checkpoint.report import CheckpointReport
from app.checkpoint.roles import PATHS, Path, Role, role_of
from app.checkpoint.tensors import TensorInfo

_SUFFIXES = ("", ".weight", ".bias")
_OF_MODULES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_TRUNKS = ("trunk", "actor_trunk", "critic_trunk")
_KNOWN_PATHS = ("policy_state_dict.", "model_state_dict.", "state_dict.", "policy.pth.", "model.", "policy.")


@dataclass(slots=True)
class Layer:
    """A module with tensors of its own, or a parameter that stands alone."""

    name: str
    """The module's path in the state dict."""
    role: Role
    """Its part in the actor-critic."""
    tensors: dict[str, TensorInfo] = field(default_factory=dict)
    """By the last part of their names: `weight`, `bias`, …"""
    parameters: int = 0
    """Values, those that an earlier layer holds already not counted again."""

    def key(self, leaf: str) -> str:
        """A tensor's key in the state dict; a bare parameter is a layer of its own name."""
        return (
            self.name
            if self.name.rpartition(".")[2] == leaf and len(self.tensors) == 1
            else f"{self.name}.{leaf}"
        )

    @property
    def path(self) -> Path:
        """From observation to action, or to value."""
        return PATHS[self.role]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor with the most dimensions, the first of equals: the weight."""
        return max((tensor.shape for tensor in self.tensors.values()), key=len)

    @property
    def dtype(self) -> str:
        """Type of the first tensor's values."""
        return next(iter(self.tensors.values())).dtype

    @property
    def bytes(self) -> int:
        """Bytes of all its tensors."""
        return sum(tensor.bytes for tensor in self.tensors.values())

    @property
    def kind(self) -> str:
        """What may be compared with what: linear with linear, normalisation with normalisation."""
        if any(name.startswith("weight_ih") for name in self.tensors):
            return "recurrent"
        if "weight" not in self.tensors:
            return "parameter"
        return f"{len(self.shape)}-dimensional"

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all its tensors."""
        return {name: tensor.shape for name, tensor in self.tensors.items()}


def state_dict_of(report: CheckpointReport) -> dict[str, TensorInfo]:
    """The network's tensors by the names that `state_dict()` gives them, in the file's order."""
    rows = [tensor for tensor in report.tensors if tensor.part == "weights"]
    prefix = _prefix(rows, report)
    return {row.name.removeprefix(prefix): row for row in rows}


def known_modules(report: CheckpointReport, state: dict[str, TensorInfo]) -> tuple[str, ...]:
    """The network's modules as the file lists them; of Caliper's own, the activation that ends each trunk.

    Caliper's files hold plain dicts, without the list that torch's state_dict() carries.
    """
    if report.modules or report.producer != "caliper":
        return report.modules
    ends: dict[str, int] = {}
    for name in state:
        trunk, _, rest = name.partition(".")
        number = rest.partition(".")[0]
        if trunk in _TRUNKS and number.isascii() and number.isdigit() and len(number) < 5:
            ends[trunk] = max(ends.get(trunk, 0), int(number))
    return tuple(f"{trunk}.{last + 1}" for trunk, last in ends.items())


def layers_of(report: CheckpointReport) -> list[Layer]:
    """The network's layers in order."""
    found: dict[str, Layer] = {}
    seen: set[tuple[object, ...]] = set()
    for name, tensor in state_dict_of(report).items():
        module, leaf = _split(name)
        layer = found.setdefault(module, Layer(module, role_of(module)))
        layer.tensors[leaf] = tensor
        key = (tensor.storage, tensor.offset, tensor.shape, tensor.stride)
        if not tensor.storage or key not in seen:
            layer.parameters += math.prod(tensor.shape)
        seen.add(key)
    return list(found.values())


def _split(name: str) -> tuple[str, str]:
    """A tensor's module and its name there; a bare parameter is a module of its own."""
    module, _, leaf = name.rpartition(".")
    belongs = leaf in _OF_MODULES or leaf.startswith(("weight_", "bias_", "in_proj_"))
    return (module or name, leaf) if belongs else (name, leaf)


def _prefix(rows: list[TensorInfo], report: CheckpointReport) -> str:
    """The path of the state dict in the file: what a tensor's name has before its layer's."""
    names = [row.name for row in rows]
    if not names:
        return ""
    first = report.layers[0].name if report.layers else ""
    fits = (
        names[0].removesuffix(first + end) for end in _SUFFIXES if first and names[0].endswith(first + end)
    )
    prefix = next(fits, None)
    if prefix is not None and all(name.startswith(prefix) for name in names):
        return prefix if prefix.endswith(".") else ""
    return next((path for path in _KNOWN_PATHS if all(name.startswith(path) for name in names)), "")
