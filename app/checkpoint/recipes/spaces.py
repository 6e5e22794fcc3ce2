"""Gymnasium spaces as they stand in checkpoints: what they say of observations and actions."""

import math
import struct
from typing import Any

from app.checkpoint.values import Array, Made, Name, Table, fields_of

_INTEGERS = {"i8": "q", "i4": "i", "i2": "h", "i1": "b", "u1": "B", "u2": "H", "u4": "I"}
_MOST = 64
_DEPTH = 8


def describe_action(space: Any) -> dict[str, Any]:
    """The facts `action_kind`, `action_dim` and `action_nvec` of a space, as far as it tells them."""
    kind, found = _kind(space)
    if kind == "Discrete":
        return {"action_kind": "discrete", "action_dim": _whole(found.get("n"))}
    if kind == "MultiDiscrete":
        nvec = whole_numbers(found.get("nvec"))
        return {
            "action_kind": "multi_discrete",
            "action_nvec": nvec,
            "action_dim": len(nvec) if nvec else None,
        }
    if kind == "MultiBinary":
        return {"action_kind": "multi_binary", "action_dim": _size(found.get("_shape"))}
    return {"action_kind": "gaussian", "action_dim": _size(found.get("_shape"))} if kind == "Box" else {}


def observation_size(space: Any, depth: int = 0) -> int | None:
    """Values of one observation, all parts of a Dict or Tuple together; None where it cannot be told."""
    kind, found = _kind(space)
    if kind in ("Box", "MultiBinary"):
        return _size(found.get("_shape"))
    if kind == "Discrete":
        return _whole(found.get("n"))
    spaces = found.get("spaces")
    inner = [item for _, item in spaces.pairs] if isinstance(spaces, Table) else spaces
    if kind not in ("Dict", "Tuple") or not isinstance(inner, (list, tuple)) or depth >= _DEPTH:
        return None
    sizes = [observation_size(item, depth + 1) for item in inner[:_MOST]]
    return sum(size for size in sizes if size is not None) if None not in sizes else None


def is_image(space: Any) -> bool:
    """Whether an observation has sides, such as channels, height and width."""
    _, found = _kind(space)
    shape = found.get("_shape")
    return isinstance(shape, (list, tuple)) and len(shape) >= 3


def whole_numbers(value: Any) -> tuple[int, ...] | None:
    """A list of whole numbers, or an array of them whose bytes the pickle holds."""
    if isinstance(value, Array) and isinstance(value.data, bytes):
        form = _INTEGERS.get(value.dtype.lstrip("<=|"))
        size = struct.calcsize(form) if form else 0
        if not size or len(value.data) % size or len(value.data) > size * _MOST:
            return None
        return tuple(struct.unpack(f"<{len(value.data) // size}{form}", value.data))
    is_list = isinstance(value, (list, tuple)) and 0 < len(value) <= _MOST
    return tuple(value) if is_list and all(type(item) is int for item in value) else None


def _kind(value: Any) -> tuple[str, Table]:
    found = fields_of(value)
    if not isinstance(value, Made) or not isinstance(value.function, Name) or found is None:
        return "", Table()
    return value.function.name, found


def _whole(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 63 else None


def _size(shape: Any) -> int | None:
    sizes = whole_numbers(shape) if shape != () else (1,)
    return math.prod(sizes) if sizes is not None and all(0 <= size < 1 << 31 for size in sizes) else None
