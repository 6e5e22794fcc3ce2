"""safetensors: a length, a JSON header, then the tensors' bytes; only the header is read.

Format: https://huggingface.co/docs/safetensors; eight bytes of header length, names to dtype, shape, offsets.
"""

import math
from typing import Any

from app.checkpoint.contents import Contents, Context
from app.checkpoint.json_value import read_json
from app.checkpoint.source import Source
from app.checkpoint.values import Storage, Table, Tensor
from app.errors import UnreadableCheckpoint

DTYPES: dict[str, tuple[str, int]] = {
    "BOOL": ("bool", 1),
    "U8": ("uint8", 1),
    "I8": ("int8", 1),
    "F8_E4M3": ("float8_e4m3fn", 1),
    "F8_E5M2": ("float8_e5m2", 1),
    "F8_E8M0": ("float8_e8m0fnu", 1),
    "I16": ("int16", 2),
    "U16": ("uint16", 2),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "I32": ("int32", 4),
    "U32": ("uint32", 4),
    "F32": ("float32", 4),
    "I64": ("int64", 8),
    "U64": ("uint64", 8),
    "F64": ("float64", 8),
    "C64": ("complex64", 8),
}
"""The torch name and the bytes of each dtype code."""


def looks_like_safetensors(head: bytes, size: int) -> bool:
    """Whether the first bytes are a plausible length and an opening brace."""
    return len(head) >= 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= max(size, 1 << 32)


def read_safetensors(source: Source, context: Context, prefix: str = "") -> Contents:
    """Read the header, `prefix` put before each storage's key; raises UnreadableCheckpoint where it is malformed, notes where it lies."""
    length = int.from_bytes(source.read_at(0, 8), "little")
    context.meter.check("max_header_bytes", length)
    source.prefetch([(8, length)])
    header = read_json(source.read_at(8, length), context, "header")
    if not isinstance(header, Table):
        raise UnreadableCheckpoint("header: it is no JSON object", pointer="header")
    context.meter.check("max_tensors", len(header.pairs))
    contents = Contents("safetensors", Table())
    spans: list[tuple[int, int, str]] = []
    for name, entry in header.pairs:
        if name == "__metadata__":
            contents.root.attributes = entry
            continue
        context.meter.spend("max_tensors")
        tensor, span = _tensor(name, entry, prefix)
        contents.storages[prefix + name] = span[1] - span[0]
        contents.root.pairs.append((name, tensor))
        spans.append((*span, name))
    _check_spans(spans, source.size - 8 - length, context)
    return contents


def _tensor(name: str, entry: Any, prefix: str) -> tuple[Tensor, tuple[int, int]]:
    if not isinstance(entry, Table):
        raise _malformed(name)
    code, shape, offsets = (
        entry.get("dtype"),
        _whole_numbers(entry.get("shape")),
        _whole_numbers(entry.get("data_offsets")),
    )
    known = DTYPES.get(code) if isinstance(code, str) else None
    if known is None or shape is None or offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _malformed(name)
    stride = tuple(math.prod(shape[at + 1 :]) for at in range(len(shape)))
    storage = Storage(prefix + name, known[0], math.prod(shape), "")
    return Tensor(storage, known[0], tuple(shape), stride, 0), (offsets[0], offsets[1])


def _malformed(name: str) -> UnreadableCheckpoint:
    text = f"header#{name[:80]}: dtype, shape or data_offsets are malformed"
    return UnreadableCheckpoint(text, pointer="header")


def _whole_numbers(values: Any) -> list[int] | None:
    """The list, where it is one of at most 64 whole numbers whose product fits 63 bits."""
    whole = isinstance(values, list) and all(type(v) is int and 0 <= v < 1 << 63 for v in values)
    if not whole or len(values) > 64:
        return None
    return values if math.prod(max(1, v) for v in values[:-1]) < 1 << 63 else None


def _check_spans(spans: list[tuple[int, int, str]], available: int, context: Context) -> None:
    """Tensors lie side by side, without gap or overlap, and fill the file."""
    at = 0
    for start, end, name in sorted(spans):
        if start != at:
            text = f"its bytes start at {start:,}, the one before ends at {at:,}"
            context.findings.add("tensor_layout", "high", f"header#{name}", text)
        at = max(at, end)
    if at != available:
        text = f"the header declares {at:,} bytes of tensors, the file holds {available:,}"
        context.findings.add("tensor_layout", "high", "header", text)
