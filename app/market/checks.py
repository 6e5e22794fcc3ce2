"""Checks of the bar contract: every breach is found and reported at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from app.market.calendars import DAY, BoolArray, IntArray
from app.market.findings import Findings
from app.market.schema import ACCOUNT_FEATURES, MARKET_FEATURES, WARMUP_BARS
from app.market.timestamps import to_local

FloatArray = npt.NDArray[np.float64]
Segments = tuple[tuple[int, int], ...]
"""Stretches of bars without a gap as half-open row ranges [(start, stop), …]."""

_TAKEN = {*MARKET_FEATURES, *ACCOUNT_FEATURES, "timestamp", "open", "high", "low", "close", "volume"}
_LARGEST = float(np.finfo(np.float32).max)

_PRICE_TOLERANCE = 1e-9
"""Relative slack of the OHLC order: files written from float32 or adjusted by a factor round apart."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The file's columns as arrays of one length; `rows` are the row numbers as uploaded."""

    rows: IntArray
    utc_us: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    own: Mapping[str, FloatArray] = field(default_factory=dict)
    """The user's own feature columns by name."""

    def take(self, index: npt.NDArray[np.intp] | BoolArray | slice) -> Self:
        """The chosen rows."""
        names = ("rows", "utc_us", "open", "high", "low", "close", "volume")
        own = {name: values[index] for name, values in self.own.items()}
        return replace(self, own=own, **{name: getattr(self, name)[index] for name in names})


def check_prices(columns: Columns, findings: Findings) -> None:
    """Find E_NAN_PRICE (missing, NaN, infinite), E_NONPOSITIVE and E_OHLC_ORDER."""
    prices = np.stack([columns.open, columns.high, columns.low, columns.close])
    finite = np.isfinite(prices).all(axis=0) & ~np.isinf(columns.volume)
    findings.add_where("E_NAN_PRICE", "a value is missing, no number or infinite", ~finite, columns.rows)
    positive = (prices > 0).all(axis=0) & ~(columns.volume < 0)
    wrong_sign = finite & ~positive
    findings.add_where(
        "E_NONPOSITIVE", "a price is 0 or less, or a volume is negative", wrong_sign, columns.rows
    )
    slack = _PRICE_TOLERANCE * np.abs(prices).max(axis=0, initial=0.0)
    body = prices[[0, 3]]
    ordered = (columns.low <= body.min(axis=0) + slack) & (columns.high >= body.max(axis=0) - slack)
    message = "open or close lies outside low..high"
    findings.add_where("E_OHLC_ORDER", message, finite & positive & ~ordered, columns.rows)


def check_order(columns: Columns, findings: Findings) -> None:
    """Find E_UNSORTED: rows earlier than the row before."""
    steps = np.diff(columns.utc_us)
    back = np.concatenate([[False], steps < 0])
    descending = len(steps) > 0 and bool((steps <= 0).all())
    words = "the file runs from new to old" if descending else "rows are earlier than the row before"
    findings.add_where("E_UNSORTED", words, back, columns.rows)


def drop_twins(columns: Columns, findings: Findings) -> tuple[Columns, int]:
    """Drop rows equal to the row before in every column; find E_DUP_TS where they contradict.

    Returns the remaining rows and how many were dropped. Expects rows sorted by time.
    """
    same_time = np.concatenate([[False], np.diff(columns.utc_us) == 0])
    equal = same_time.copy()
    numbers = (columns.open, columns.high, columns.low, columns.close, columns.volume, *columns.own.values())
    for values in numbers:
        both_missing = np.isnan(values[1:]) & np.isnan(values[:-1])
        equal[1:] &= (values[1:] == values[:-1]) | both_missing
    message = "rows share a timestamp but differ"
    findings.add_where("E_DUP_TS", message, same_time & ~equal, columns.rows)
    return columns.take(~same_time), int(equal.sum())


def infer_bar_seconds(utc_us: IntArray) -> int | None:
    """The most frequent distance between two rows in whole seconds; None where there is none."""
    steps = np.diff(utc_us)
    seconds, counts = np.unique(steps[steps >= 1_000_000] // 1_000_000, return_counts=True)
    if not len(seconds):
        return None
    return int(min(int(seconds[np.argmax(counts)]), 7 * DAY))


def check_grid(columns: Columns, bar_seconds: int, timezone: str, findings: Findings) -> None:
    """Find E_OFF_GRID: bars that start between the grid's points in UTC and in local time alike.

    The grid's phase is the most frequent one, so sessions from 09:30 and bars of 4 h that keep New York
    time over a change to summer time are both on their grid.
    """
    off_utc = _off_phase(columns.utc_us, bar_seconds)
    off_local = _off_phase(to_local(columns.utc_us, timezone), bar_seconds)
    off = off_utc & off_local
    message = f"bars do not start on the grid of {bar_seconds:,} seconds"
    findings.add_where("E_OFF_GRID", message, off, columns.rows)


def check_own_features(columns: Columns, segments: Segments, findings: Findings) -> None:
    """Find E_NAN_FEATURE (no number after the warm-up of its segment, or infinite) and E_COLUMNS (a name taken)."""
    taken = [name for name in columns.own if name in _TAKEN]
    if taken:
        words = f"feature_columns: {', '.join(taken)} is the name of a built-in column, rename yours"
        findings.add("E_COLUMNS", words, count=len(taken))
    warm = np.ones(len(columns.rows), dtype=np.bool_)
    for start, _ in segments:
        warm[start : start + WARMUP_BARS - 1] = False
    for name, values in columns.own.items():
        wrong = (np.isnan(values) & warm) | (np.abs(values) > _LARGEST)
        message = f"feature column {name} has no number after the warm-up, or an infinite one"
        findings.add_where("E_NAN_FEATURE", message, wrong, columns.rows)


def _off_phase(stamps_us: IntArray, bar_seconds: int) -> BoolArray:
    phase = stamps_us % (bar_seconds * 1_000_000)
    values, counts = np.unique(phase, return_counts=True)
    return np.asarray(phase != values[np.argmax(counts)])
