"""The tensors of a tree: named, counted once, and checked against the storages that they say they view."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from app.checkpoint.contents import Contents, Context
from app.checkpoint.findings import printable
from app.checkpoint.names import TORCH_DTYPES
from app.checkpoint.values import Array, Bag, Made, Table, Tensor
from app.network.shape import DOCUMENTED

Part = Literal["weights", "optimizer", "other"]
_MOST_NAME = 256


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor or array of the file."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """Its path in the file, keys joined by dots."""
    part: Part
    """What it belongs to."""
    shape: tuple[int, ...]
    """Sizes of its dimensions."""
    dtype: str
    """Its values' type, such as `float32`."""
    bytes: int
    """Bytes of its values; what several tensors share is counted at each, see `storage`."""
    storage: str
    """The record that holds the values; tensors with the same one share it. Empty for an array in a pickle."""
    offset: int
    """First value within the storage, in values."""
    stride: tuple[int, ...]
    """Step of each dimension within the storage, in values."""


def item_bytes(dtype: str) -> int:
    """Bytes of one value of a torch or numpy dtype; 0 where it is not known."""
    digits = "".join(c for c in dtype.partition(":")[0] if c.isdigit())[:4]
    return TORCH_DTYPES.get(dtype, int(digits) if digits and len(dtype) <= 4 else 0)


def span(tensor: Tensor) -> int:
    """Values from the first to the last that the view can reach, at least 0."""
    if 0 in tensor.shape:
        return 0
    return 1 + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride, strict=True))


def distinct_values(tensor: Tensor) -> int:
    """Values behind a view; a stride of 0 repeats one value and adds none."""
    moving = (size for size, step in zip(tensor.shape, tensor.stride, strict=True) if step)
    return 0 if 0 in tensor.shape else min(math.prod(moving), span(tensor))


def find_tensors(root: Any, context: Context) -> list[tuple[str, Tensor | Array]]:
    """All tensors and arrays by path, in order; each container is entered once, however often it is named."""
    found: list[tuple[str, Tensor | Array]] = []
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("", root)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, (Tensor, Array)):
            found.append((path, value))
            context.meter.check("max_tensors", len(found))
        elif id(value) not in seen:
            seen.add(id(value))
            waiting.extend(reversed(list(_children(path, value))))
    return found


def _children(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Table):
        yield from ((_join(path, key), item) for key, item in value.pairs)
    elif isinstance(value, (list, tuple)):
        yield from ((_join(path, at), item) for at, item in enumerate(value) if not _is_leaf(item))
    elif isinstance(value, Bag):
        yield from ((_join(path, at), item) for at, item in enumerate(value.items) if not _is_leaf(item))
    elif isinstance(value, Made):
        yield from ((path, part) for part in (value.args, value.state, value.items, Table(value.pairs)))


def _is_leaf(value: Any) -> bool:
    return value is None or isinstance(value, (str, bytes, int, float))


def _join(path: str, key: Any) -> str:
    text = str(key) if isinstance(key, (str, int)) else f"<{type(key).__name__.lower()}>"
    return f"{path}.{text[:_MOST_NAME]}"[-_MOST_NAME:] if path else text[:_MOST_NAME]


def describe(path: str, value: Tensor | Array, part: Part) -> TensorInfo:
    """The row of a tensor."""
    if isinstance(value, Array):
        count = math.prod(value.shape)
        nbytes = len(value.data) if value.data is not None else count * item_bytes(value.dtype)
        return TensorInfo(printable(path), part, value.shape, printable(value.dtype), nbytes, "", 0, ())
    nbytes = math.prod(value.shape) * item_bytes(value.dtype)
    key = printable(value.storage.key)
    return TensorInfo(
        printable(path), part, value.shape, value.dtype, nbytes, key, value.offset, value.stride
    )


def check_tensors(found: list[tuple[str, Tensor | Array]], contents: Contents, context: Context) -> None:
    """Note every tensor that passes its storage, and every storage that is not as it is declared."""
    declared: dict[str, tuple[str, int]] = {}
    held: dict[str, int] = {}
    for path, value in found:
        if isinstance(value, Array):
            continue
        _check_view(path, value, context)
        storage = value.storage
        if storage.held is not None:
            held[storage.key] = storage.held
        before = declared.setdefault(storage.key, (storage.dtype, storage.numel))
        if before != (storage.dtype, storage.numel):
            text = f"storage {storage.key} is declared twice, differently"
            context.findings.add("storage_mismatch", "high", path, text)
    for key, (dtype, numel) in declared.items():
        actual = contents.storages.get(key, held.get(key))
        _check_storage(key, numel * item_bytes(dtype), actual, context)


def _check_view(path: str, tensor: Tensor, context: Context) -> None:
    reach = tensor.offset + span(tensor)
    if reach > tensor.storage.numel:
        text = f"shape {_sizes(tensor.shape)} needs {reach:,} values of storage {tensor.storage.key}"
        text += f", which has {tensor.storage.numel:,}"
        context.findings.add("tensor_outside_storage", "high", path, text)
    elif math.prod(tensor.shape) > span(tensor):
        text = f"shape {_sizes(tensor.shape)} repeats {distinct_values(tensor):,} stored values"
        context.findings.add("expanded_tensor", "medium", path, text)


def _check_storage(key: str, declared: int, actual: int | None, context: Context) -> None:
    if actual is None:
        if not context.broken:
            text = f"declared with {declared:,} bytes, no record holds it"
            context.findings.add("storage_missing", "high", f"storage {key}", text)
    elif actual != declared:
        text = f"declared with {declared:,} bytes, its record has {actual:,}"
        context.findings.add("storage_size", "high", f"storage {key}", text)


def _sizes(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{size:,}" for size in shape[:8]) or "()"
