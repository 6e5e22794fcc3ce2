"""Raw bytes of every kind of tensor as float64."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from app.errors import UnreadableCheckpoint

Values = NDArray[np.float64]

NATIVE = {
    "float64": "f8",
    "float32": "f4",
    "float16": "f2",
    "int64": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint64": "u8",
    "uint32": "u4",
    "uint16": "u2",
    "uint8": "u1",
    "bool": "u1",
}
"""Types that numpy has, by torch's name."""

MINIFLOATS = {"float8_e4m3fn": (4, 3, 7), "float8_e5m2": (5, 2, 15)}
"""Bits of exponent and fraction, and the exponent's bias (Micikevicius et al. 2022, arXiv:2209.05433)."""


def item_bytes(dtype: str) -> int:
    """Bytes of one value. Raises UnreadableCheckpoint for a type that is not compared."""
    if dtype in NATIVE:
        return np.dtype(NATIVE[dtype]).itemsize
    if dtype == "bfloat16":
        return 2
    if dtype in MINIFLOATS:
        return 1
    raise UnreadableCheckpoint(f"values of type {dtype} are not compared")


def decoder(dtype: str, byteorder: str) -> Callable[[bytes], Values]:
    """The function that turns bytes of this type into float64; integers beyond 2^53 are rounded."""
    item_bytes(dtype)
    mark = ">" if byteorder == "big" else "<"
    if dtype in MINIFLOATS:
        table = minifloat_table(*MINIFLOATS[dtype])
        return lambda data: table[np.frombuffer(data, np.uint8)]
    if dtype == "bfloat16":
        return lambda data: _widen_bfloat16(np.frombuffer(data, f"{mark}u2"))
    return lambda data: np.frombuffer(data, mark + NATIVE[dtype]).astype(np.float64)


def minifloat_table(exponent_bits: int, fraction_bits: int, bias: int) -> Values:
    """The values of all 256 bytes of an 8-bit float."""
    code = np.arange(256)
    sign = np.where(code & 0x80, -1.0, 1.0)
    exponent = (code >> fraction_bits) & ((1 << exponent_bits) - 1)
    fraction = (code & ((1 << fraction_bits) - 1)) / (1 << fraction_bits)
    normal = np.ldexp(1.0 + fraction, exponent - bias)
    subnormal = np.ldexp(fraction, 1 - bias)
    table = sign * np.where(exponent == 0, subnormal, normal)
    if exponent_bits == 4:  # e4m3fn has no infinity, and NaN only where all bits are set
        table[[0x7F, 0xFF]] = np.nan
    else:
        top = exponent == (1 << exponent_bits) - 1
        table[top] = np.where(fraction[top] == 0, sign[top] * np.inf, np.nan)
    return np.asarray(table, dtype=np.float64)


def _widen_bfloat16(codes: NDArray[np.uint16]) -> Values:
    """The upper half of a float32."""
    return (codes.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
