"""Timestamps of a file -> microseconds since 1970 in UTC, or a finding that says why not."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from app.market.calendars import BoolArray, IntArray
from app.market.declarations import Declarations
from app.market.findings import Findings

_DAY_US = 86_400_000_000
_PATTERN = (
    r"^\s*(?<a>\d{1,4})[-/.](?<b>\d{1,2})[-/.](?<c>\d{1,4})"
    r"(?:[T\s]+(?<h>\d{1,2}):(?<mi>\d{2})(?::(?<s>\d{2})(?:[.,](?<f>\d{1,9}))?)?)?"
    r"\s*(?:GMT|UTC)?(?<z>Z|[+-]\d{2}:?\d{2})?\s*$"
)
_EPOCH_UNITS = ((1e11, 1_000_000.0), (1e14, 1_000.0), (1e17, 1.0), (np.inf, 1e-3))
"""Numbers below 1e11 are seconds, below 1e14 ms, below 1e17 µs, else ns (dates after 1973)."""


@dataclass(frozen=True, slots=True)
class _Parsed:
    """Wall-clock microseconds, which of them are in UTC already, and which could not be read."""

    wall_us: IntArray
    aware: BoolArray
    bad: BoolArray
    date_only: bool


def parse_timestamps(frame: pl.DataFrame, declarations: Declarations, findings: Findings) -> IntArray | None:
    """Microseconds in UTC of the `timestamp` column; None (and a finding) where it cannot be told.

    Findings: E_COLUMNS (no timestamp), E_TZ_NAIVE, E_DATE_AMBIGUOUS (day and month, or a local hour
    that daylight saving repeats or skips).
    """
    column = frame["timestamp"]
    if "time_of_day" in frame.columns:
        joined = frame.select(pl.concat_str(["timestamp", "time_of_day"], separator=" "))
        column = joined.to_series()
    rows = np.arange(1, len(column) + 1)
    if column.dtype == pl.String or _looks_like_dates(column):
        parsed = _parse_text(column.cast(pl.String), declarations, findings)
    elif column.dtype.is_numeric():
        parsed = _parse_epoch(column)
    elif column.dtype in (pl.Datetime, pl.Date):
        parsed = _parse_datetime(column)
    else:
        findings.add("E_COLUMNS", f"the timestamp column holds {column.dtype}", count=1)
        return None
    if parsed is None:
        return None
    findings.add_where("E_COLUMNS", "timestamps that are missing or no time", parsed.bad, rows)
    zone = declarations.date_timezone if parsed.date_only else declarations.timezone
    naive = ~parsed.aware & ~parsed.bad
    if naive.any() and zone is None:
        findings.add_where("E_TZ_NAIVE", "timestamps without a time zone", naive, rows)
        return None
    utc = _to_utc(parsed, zone or "UTC", findings) if naive.any() else parsed.wall_us
    return None if parsed.bad.any() else utc


def to_local(utc_us: IntArray, timezone: str) -> IntArray:
    """Wall-clock microseconds of a time zone, shape as given."""
    if timezone == "UTC":
        return utc_us
    local = pl.Series(utc_us).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(timezone)
    return local.dt.replace_time_zone(None).cast(pl.Int64).to_numpy()


def to_session_time(utc_us: IntArray, timezone: str, bar_seconds: int) -> IntArray:
    """Wall-clock microseconds of bar opens; bars of days stamped at midnight UTC are dates already."""
    are_dates = bar_seconds * 1_000_000 >= _DAY_US and not (utc_us % _DAY_US).any()
    return utc_us if are_dates else to_local(utc_us, timezone)


def _to_utc(parsed: _Parsed, zone: str, findings: Findings) -> IntArray:
    naive = pl.Series(parsed.wall_us).cast(pl.Datetime("us"))
    aware = naive.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
    lost = aware.is_null().to_numpy() & ~parsed.aware & ~parsed.bad
    rows = np.arange(1, len(lost) + 1)
    findings.add_where("E_DATE_AMBIGUOUS", f"local times that {zone} repeats or skips", lost, rows)
    utc = aware.dt.convert_time_zone("UTC").cast(pl.Int64).fill_null(0).to_numpy()
    return np.where(parsed.aware, parsed.wall_us, utc)


def _looks_like_dates(column: pl.Series) -> bool:
    if not column.dtype.is_integer() or not len(column):
        return False
    low, high = column.min(), column.max()
    return isinstance(low, int) and isinstance(high, int) and low >= 19_000_101 and high <= 21_001_231


def _parse_datetime(column: pl.Series) -> _Parsed:
    bad = column.is_null().to_numpy()
    date_only = column.dtype == pl.Date
    zone = getattr(column.dtype, "time_zone", None)
    stamps = column.cast(pl.Datetime("us")) if date_only else column.dt.cast_time_unit("us")
    wall = stamps.cast(pl.Int64).fill_null(0).to_numpy()
    at_midnight = bool(len(wall)) and not (wall % _DAY_US).any()
    return _Parsed(wall, np.full(len(wall), zone is not None), bad, date_only or at_midnight)


def _parse_epoch(column: pl.Series) -> _Parsed:
    values = column.cast(pl.Float64).to_numpy()
    bad = ~np.isfinite(values) | (values <= 0)
    largest = float(np.max(values[~bad], initial=1.0))
    factor = next(scale for below, scale in _EPOCH_UNITS if largest < below)
    exact = column.dtype.is_integer() and factor >= 1
    whole = column.fill_null(0).to_numpy() if exact else np.zeros(0, dtype=np.int64)
    wall = whole.astype(np.int64) * int(factor) if exact else np.round(np.where(bad, 0, values) * factor)
    return _Parsed(wall.astype(np.int64), np.ones(len(wall), dtype=np.bool_), bad, date_only=False)


def _parse_text(column: pl.Series, declarations: Declarations, findings: Findings) -> _Parsed | None:
    numbers = column.str.strip_chars().cast(pl.Float64, strict=False)
    compact = column.str.contains(r"^\s*\d{8}(\s|$)")
    if not compact.any() and len(column) and numbers.is_not_null().all():
        whole = column.str.strip_chars().cast(pl.Int64, strict=False)
        return _parse_epoch(numbers if whole.null_count() else whole)
    dashed = column.str.replace(r"^\s*(\d{4})(\d{2})(\d{2})(\s|$)", "${1}-${2}-${3} ")
    parts = dashed.str.extract_groups(_PATTERN).struct.unnest()
    year, month, day = _order_date(parts, declarations, findings)
    if year is None or month is None or day is None:
        return None
    days, bad = _count_days(year, month, day)
    clock, clock_bad = _count_clock(parts)
    offset = _count_offset(parts["z"])
    date_only = parts["h"].null_count() == len(parts)
    wall = days * _DAY_US + clock - offset
    return _Parsed(wall, parts["z"].is_not_null().to_numpy(), bad | clock_bad, date_only)


def _whole(series: pl.Series, missing: int = 0) -> IntArray:
    return series.cast(pl.Int64, strict=False).fill_null(missing).to_numpy()


def _order_date(
    parts: pl.DataFrame, declarations: Declarations, findings: Findings
) -> tuple[IntArray | None, IntArray | None, IntArray | None]:
    a, b, c = _whole(parts["a"]), _whole(parts["b"]), _whole(parts["c"])
    known = a + b + c > 0
    year_first = a > 31
    if declarations.date_order == "ymd" or year_first[known].all():
        return a, b, c
    short = known & ~year_first
    day_first, month_first = bool((a[short] > 12).any()), bool((b[short] > 12).any())
    order = declarations.date_order or {(True, False): "dmy", (False, True): "mdy"}.get(
        (day_first, month_first)
    )
    if order is None or year_first.any():
        message = f"dates such as {_example(parts, short)} do not say which part is the day"
        findings.add_where("E_DATE_AMBIGUOUS", message, short, np.arange(1, len(a) + 1))
        return None, None, None
    return (c, b, a) if order == "dmy" else (c, a, b)


def _example(parts: pl.DataFrame, mask: npt.NDArray[np.bool_]) -> str:
    first = parts.row(int(np.flatnonzero(mask)[0]))
    return "/".join(str(part) for part in first[:3])


def _count_days(year: IntArray, month: IntArray, day: IntArray) -> tuple[IntArray, BoolArray]:
    bad = (year < 1900) | (year > 2200) | (month < 1) | (month > 12) | (day < 1)
    months = np.where(bad, 0, (year - 1970) * 12 + month - 1).astype("datetime64[M]")
    first = months.astype("datetime64[D]").astype(np.int64)
    following = (months + 1).astype("datetime64[D]").astype(np.int64)
    return first + day - 1, bad | (first + day > following)


def _count_clock(parts: pl.DataFrame) -> tuple[IntArray, BoolArray]:
    hour, minute, second = _whole(parts["h"]), _whole(parts["mi"]), _whole(parts["s"])
    fraction = _whole(parts["f"].str.pad_end(6, "0").str.slice(0, 6))
    bad = (hour > 23) | (minute > 59) | (second > 59)
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction, bad


def _count_offset(zone: pl.Series) -> IntArray:
    text = zone.str.replace("Z", "+0000").str.replace(":", "")
    sign = np.where(text.str.starts_with("-").fill_null(value=False).to_numpy(), -1, 1)
    minutes = _whole(text.str.slice(1, 2)) * 60 + _whole(text.str.slice(3, 2))
    return np.asarray(sign * minutes * 60_000_000)
