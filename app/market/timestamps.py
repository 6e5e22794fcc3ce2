"""Timestamps of a file -> microseconds since 1970 in UTC, or a finding that says why not."""

import numpy as np
import polars as pl

from app.market.calendars import BoolArray, IntArray
from app.market.dates import ParsedTimes, parse_dates
from app.market.declarations import Declarations
from app.market.epochs import epoch_to_us
from app.market.findings import Findings

_DAY_US = 86_400_000_000


def parse_timestamps(
    frame: pl.DataFrame, declarations: Declarations, findings: Findings, header_zone: str | None = None
) -> IntArray | None:
    """Microseconds in UTC of the `timestamp` column; None (and a finding) where it cannot be told.

    `header_zone` is the zone that the column's own name states, such as `Gmt time`. Findings: E_COLUMNS (no
    timestamp), E_TZ_NAIVE, E_DATE_AMBIGUOUS (day and month, or a local hour that daylight saving repeats or
    skips).
    """
    column = frame["timestamp"]
    if "time_of_day" in frame.columns:
        column = frame.select(pl.concat_str(["timestamp", "time_of_day"], separator=" ")).to_series()
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
    zone = zone or header_zone
    naive = ~parsed.aware & ~parsed.bad
    if naive.any() and zone is None:
        words = (
            "dates without a calendar or time zone" if parsed.date_only else "timestamps without a time zone"
        )
        findings.add_where("E_TZ_NAIVE", words, naive, rows)
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


def _to_utc(parsed: ParsedTimes, zone: str, findings: Findings) -> IntArray | None:
    if zone == "UTC":
        return parsed.wall_us
    naive = pl.Series(parsed.wall_us).cast(pl.Datetime("us"))
    aware = naive.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
    unclear = aware.is_null().to_numpy() & ~parsed.aware & ~parsed.bad
    utc = aware.dt.convert_time_zone("UTC").cast(pl.Int64).fill_null(0).to_numpy().copy()
    if unclear.any():
        _resolve_repeats(naive, unclear, utc, zone)
    lost = unclear & (utc == 0)
    rows = np.arange(1, len(lost) + 1)
    findings.add_where("E_DATE_AMBIGUOUS", f"local times that {zone} repeats or skips", lost, rows)
    return None if lost.any() else np.where(parsed.aware, parsed.wall_us, utc)


def _resolve_repeats(naive: pl.Series, unclear: BoolArray, utc: IntArray, zone: str) -> None:
    """Fill in repeated local hours that stand there twice: the rows before the clock goes back come first."""
    wall = naive.cast(pl.Int64).to_numpy()
    step = -1 if wall[0] > wall[-1] else 1
    rows = np.flatnonzero(unclear)[::step]
    for block in np.split(rows, np.flatnonzero(np.diff(rows) != step) + 1):
        back = np.flatnonzero(np.diff(wall[block]) <= 0) + 1
        if len(back) == 1:
            second = np.arange(len(block)) >= back[0]
            which = pl.Series(np.where(second, "latest", "earliest"))
            stamps = naive.gather(block).dt.replace_time_zone(zone, ambiguous=which, non_existent="null")
            utc[block] = stamps.cast(pl.Int64).fill_null(0).to_numpy()


def _looks_like_dates(column: pl.Series) -> bool:
    if not column.dtype.is_integer() or not len(column):
        return False
    low, high = column.min(), column.max()
    return isinstance(low, int) and isinstance(high, int) and low >= 19_000_101 and high <= 21_001_231


def _parse_datetime(column: pl.Series) -> ParsedTimes:
    bad = column.is_null().to_numpy()
    date_only = column.dtype == pl.Date
    zone = getattr(column.dtype, "time_zone", None)
    stamps = column.cast(pl.Datetime("us")) if date_only else column.dt.cast_time_unit("us")
    wall = stamps.cast(pl.Int64).fill_null(0).to_numpy()
    at_midnight = bool(len(wall)) and not (wall % _DAY_US).any()
    return ParsedTimes(wall, np.full(len(wall), zone is not None), bad, date_only or at_midnight)


def _parse_epoch(column: pl.Series) -> ParsedTimes:
    wall, bad = epoch_to_us(column)
    return ParsedTimes(wall, np.ones(len(wall), dtype=np.bool_), bad, date_only=False)


def _parse_text(column: pl.Series, declarations: Declarations, findings: Findings) -> ParsedTimes | None:
    compact = column.str.contains(r"^\s*\d{8}(\s|$)")
    if len(column) and not compact.any() and column[:1].str.contains(r"^\s*[-+.\deE]+\s*$").all():
        numbers = column.str.strip_chars().cast(pl.Float64, strict=False)
        if numbers.is_not_null().all():
            whole = column.str.strip_chars().cast(pl.Int64, strict=False)
            return _parse_epoch(numbers if whole.null_count() else whole)
    return parse_dates(column, declarations.date_order, findings)
