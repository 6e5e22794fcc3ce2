"""The optimizer's state in a checkpoint: which one, whether it is whole, how far it went."""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from app.checkpoint.values import Table, Tensor, fields_of
from app.errors import CaliperError
from app.network.shape import DOCUMENTED


@dataclass(frozen=True, slots=True)
class OptimizerInfo:
    """The optimizer's state, as far as a continuation needs it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    kind: str
    """`adam`, `adamw`, `sgd`, `rmsprop`, or `unknown`; told by the names of its state and settings."""
    complete: bool
    """Whether every parameter that it lists has its state, so that training can go on as if never stopped."""
    parameters: int
    """Parameters (tensors) that its groups list."""
    with_state: int
    """Of these, how many have their state."""
    steps: int | None
    """Optimizer steps that were taken, of the last parameter, whose count lies beside the trainer's own; null
    where the file does not say."""
    learning_rate: float | None
    """Step size of the first group."""
    note: str = ""
    """What is missing, in words."""


def read_optimizer(state: Any, scalar: Callable[[Tensor], bytes | None]) -> OptimizerInfo | None:
    """Describe a torch optimizer's state_dict, or a whole pickled optimizer; None where it is none.

    `scalar` reads a tensor of 8 bytes or fewer.
    """
    found = fields_of(state)
    if found is None or "param_groups" not in found:
        return None
    groups = [group for group in _as_list(found.get("param_groups")) if isinstance(group, Table)]
    every = [_identity(item) for group in groups for item in _as_list(group.get("params"))]
    listed = [key for key in every if key is not None]
    held = found.get("state")
    pairs = held.pairs if isinstance(held, Table) else []
    entries = {key: value for item, value in pairs if (key := _identity(item)) is not None}
    with_state = sum(
        1 for number in listed if isinstance(entries.get(number), Table) and entries[number].pairs
    )
    last = next((entry for entry in reversed(entries.values()) if isinstance(entry, Table)), Table())
    group = groups[0] if groups else Table()
    complete = bool(listed) and with_state == len(listed)
    return OptimizerInfo(
        kind=_kind(last, group),
        complete=complete,
        parameters=len(listed),
        with_state=with_state,
        steps=_steps(last.get("step"), scalar),
        learning_rate=_finite(group.get("lr")),
        note="" if complete else f"{with_state} of {len(listed)} parameters have their state",
    )


def _identity(parameter: Any) -> int | str | None:
    """What names a parameter: its number in a state dict, its storage where the optimizer itself was pickled."""
    if isinstance(parameter, Tensor):
        return f"{parameter.storage.key}+{parameter.offset}"
    return parameter if type(parameter) is int else None


def read_scalar(value: Any, scalar: Callable[[Tensor], bytes | None]) -> Any:
    """A value as it is; of a tensor without dimensions its number, None where its bytes cannot be had."""
    if not isinstance(value, Tensor):
        return value
    try:
        data = scalar(value)
    except CaliperError:
        return None
    form = {"float32": "<f", "float64": "<d", "int64": "<q", "int32": "<i"}.get(value.dtype)
    if data is None or form is None or len(data) != struct.calcsize(form):
        return None
    return struct.unpack(form, data)[0]


def _kind(entry: Table, group: Table) -> str:
    if "exp_avg_sq" in entry or "betas" in group:
        return "adamw" if group.get("decoupled_weight_decay") is True else "adam"
    if "square_avg" in entry or "centered" in group:
        return "rmsprop"
    return "sgd" if "momentum_buffer" in entry or "nesterov" in group else "unknown"


def _steps(step: Any, scalar: Callable[[Tensor], bytes | None]) -> int | None:
    value = read_scalar(step, scalar)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return int(value) if is_number and math.isfinite(value) and 0 <= value < 1 << 63 else None


def _finite(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1 << 63
    return float(value) if is_number and math.isfinite(value) else None


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []
