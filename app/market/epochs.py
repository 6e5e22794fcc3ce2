"""Epoch numbers -> microseconds: seconds, milliseconds, microseconds and nanoseconds, told apart row by row."""

import numpy as np
import polars as pl

from app.market.calendars import BoolArray, IntArray

_UNITS = ((1e11, 1_000_000.0), (1e14, 1_000.0), (1e17, 1.0), (np.inf, 1e-3))
"""Numbers below 1e11 are seconds, below 1e14 ms, below 1e17 µs, else ns. Some exports change midway."""

_EARLIEST = 1e8
"""March 1973 in seconds, as in every unit: smaller numbers are row numbers or Excel's days."""

_LATEST = 7_258_118_400_000_000.0  # 2200-01-01 in microseconds


def epoch_to_us(column: pl.Series) -> tuple[IntArray, BoolArray]:
    """Microseconds since 1970 and which rows hold no time; whole numbers keep every digit."""
    values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    bad = ~(values >= _EARLIEST)
    known = np.where(bad, 0.0, values)
    factor = np.select([known < below for below, _ in _UNITS], [scale for _, scale in _UNITS])
    wall = np.round(np.clip(known * factor, 0, _LATEST * 2)).astype(np.int64)
    if column.dtype.is_integer():
        wall = _exact(column, wall, factor)
    return wall, bad | (wall > _LATEST)


def _exact(column: pl.Series, rounded: IntArray, factor: np.ndarray) -> IntArray:
    whole = column.cast(pl.Int64, strict=False).fill_null(0).to_numpy()
    exact = np.where(factor == 1e-3, whole // 1000, rounded)
    return np.where(factor == 1.0, whole, exact)
