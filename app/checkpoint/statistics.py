"""The values of a normaliser's running statistics, as one hash each: equal values give equal hashes.

They are what a policy's observations are scaled by, so two policies with other ones are not interchangeable. A
report holds hashes rather than values: an observation may be thousands wide.
"""

import array
import hashlib
import math
import struct
import sys
from collections.abc import Sequence

from app.checkpoint.contents import Contents, Context
from app.checkpoint.findings import printable
from app.checkpoint.tensors import item_bytes
from app.checkpoint.values import Array, Tensor
from app.errors import CaliperError

_CODES = {
    "float64": "d",
    "float32": "f",
    "float16": "e",
    "int64": "q",
    "int32": "i",
    "int16": "h",
    "int8": "b",
    "uint8": "B",
    "bool": "?",
}
"""struct's letters of the types that statistics have."""


def hash_statistics(
    found: Sequence[tuple[str, Tensor | Array]], contents: Contents, context: Context
) -> dict[str, str]:
    """SHA-256 by path of each tensor that can be read; empty where all together pass `max_statistics_bytes`.

    What cannot be read is left out, and never breaks the reading of the rest.
    """
    wanted = [(path, tensor) for path, tensor in found if isinstance(tensor, Tensor) and _is_plain(tensor)]
    total = sum(_bytes(tensor) for _, tensor in wanted)
    if total > context.meter.limits.max_statistics_bytes:
        return {}
    try:
        data = contents.read_values([tensor for _, tensor in wanted])
    except CaliperError:  # what is torn there has its finding already
        return {}
    return {
        printable(path): hash_values(values, tensor.dtype)
        for (path, tensor), values in zip(wanted, data, strict=True)
        if values is not None and len(values) == _bytes(tensor)
    }


def hash_values(data: bytes, dtype: str) -> str:
    """SHA-256 of little-endian values as float64, so that neither their type nor the sign of a zero counts."""
    if dtype == "bfloat16":  # the upper half of a float32
        halves = struct.unpack(f"<{len(data) // 2}H", data)
        data, dtype = struct.pack(f"<{len(halves)}I", *(half << 16 for half in halves)), "float32"
    code = _CODES[dtype]
    values = struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data)
    wide = array.array("d", ((math.nan if value != value else value + 0.0) for value in values))  # noqa: PLR0124
    if sys.byteorder == "big":
        wide.byteswap()
    return hashlib.sha256(wide.tobytes()).hexdigest()


def _is_plain(tensor: Tensor) -> bool:
    """Whether the values stand one after another, in a type that is known here."""
    step, expected = 1, []
    for size in reversed(tensor.shape):
        expected.append(step)
        step *= size
    pairs = zip(tensor.shape, tensor.stride, reversed(expected), strict=True)
    in_order = all(size == 1 or stride == wanted for size, stride, wanted in pairs)
    return in_order and (tensor.dtype in _CODES or tensor.dtype == "bfloat16")


def _bytes(tensor: Tensor) -> int:
    return math.prod(tensor.shape) * item_bytes(tensor.dtype)


def slice_of(tensor: Tensor, record: bytes) -> bytes:
    """A plain tensor's bytes within its storage's record."""
    start = tensor.offset * item_bytes(tensor.dtype)
    return record[start : start + _bytes(tensor)]
