"""Dates and times as text -> wall-clock microseconds: ISO 8601 fast, every other spelling by its parts."""

import re
from dataclasses import dataclass

import numpy as np
import polars as pl

from app.market.calendars import BoolArray, IntArray
from app.market.declarations import DateOrder
from app.market.findings import Findings

_DAY_US = 86_400_000_000
_PATTERN = (
    r"^(?<a>\d{1,4})[-/. ](?<b>\d{1,2})[-/. ](?<c>\d{1,4})"
    r"(?:[Tt,\s]+(?<h>\d{1,2})(?::(?<mi>\d{2})(?::(?<s>\d{2})(?:[.,](?<f>\d{1,9}))?)?)?(?:[-\s]*(?<m>[AaPp])[Mm])?)?"
    r"\s*(?:GMT|UTC)?(?<z>[Zz]|[+-]\d{2}:?\d{2}|[+-]\d{2})?$"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FIXED = re.compile(
    r"(?:(?P<iso>\d{4}(?P<s1>[-/.])\d{2}(?P=s1)\d{2})|\d{2}(?P<s2>[-/.])\d{2}(?P=s2)\d{4})"
    r"(?:(?P<t>[T ])\d{2}:\d{2}(?P<sec>:\d{2})?)?(?P<z>Z|\+00:00)?"
)
_LONGEST_STEP = 7  # days: bars are no longer than a week
_YEARS = (1900, 2200)


@dataclass(frozen=True, slots=True)
class ParsedTimes:
    """Wall-clock microseconds, which of them are in UTC already, and which could not be read."""

    wall_us: IntArray
    aware: BoolArray
    bad: BoolArray
    date_only: bool


def parse_dates(column: pl.Series, declared: DateOrder | None, findings: Findings) -> ParsedTimes | None:
    """Read a text column; None and E_DATE_AMBIGUOUS where day and month cannot be told apart."""
    fast = _parse_fixed(column, declared)
    if fast is not None:
        return fast
    parts = _plain_dates(column).str.extract_groups(_PATTERN).struct.unnest()
    order = _find_order(parts, declared)
    if order is None:
        short = _short(parts)
        message = f"dates such as {_example(parts, short)} do not say which part is the day"
        findings.add_where("E_DATE_AMBIGUOUS", message, short, np.arange(1, len(parts) + 1))
        return None
    days, bad = _count_days(parts, order)
    clock, clock_bad = _count_clock(parts)
    date_only = parts["h"].null_count() == len(parts)
    wall = days * _DAY_US + clock - _count_offset(parts["z"])
    return ParsedTimes(wall, parts["z"].is_not_null().to_numpy(), bad | clock_bad, date_only)


def _parse_fixed(column: pl.Series, declared: DateOrder | None) -> ParsedTimes | None:
    """Times that all have the first one's plain layout, by one format; None where any differs."""
    first = column[0] if len(column) else None
    layout = _FIXED.fullmatch(first) if isinstance(first, str) else None
    if layout is None:
        return None
    order: DateOrder = "ymd"
    if not layout["iso"]:
        slices = [
            column.str.slice(at, width).alias(name)
            for name, at, width in (("a", 0, 2), ("b", 3, 2), ("c", 6, 4))
        ]
        found = _find_order(pl.DataFrame(slices), declared)
        if found is None or found == "ymd":
            return None
        order = found
    separator = layout["s1"] or layout["s2"]
    form = separator.join(
        {"ymd": ("%Y", "%m", "%d"), "dmy": ("%d", "%m", "%Y"), "mdy": ("%m", "%d", "%Y")}[order]
    )
    if layout["t"]:
        form += f"{layout['t']}%H:%M" + (":%S" if layout["sec"] else "")
    stamps = column.str.to_datetime(form + (layout["z"] or ""), time_unit="us", strict=False)
    if stamps.null_count() or not stamps.dt.year().is_between(*_YEARS).all():
        return None
    aware = np.full(len(stamps), bool(layout["z"]))
    nothing_bad = np.zeros(len(stamps), dtype=np.bool_)
    return ParsedTimes(stamps.cast(pl.Int64).to_numpy(), aware, nothing_bad, date_only=not layout["t"])


def _plain_dates(column: pl.Series) -> pl.Series:
    """Month names as numbers and compact dates with dashes."""
    text = column.str.strip_chars()
    compact = r"^(\d{4})(\d{2})(\d{2})(?:[T ]?(\d{2})(\d{2})(\d{2})?)?$"
    if text.str.contains(r"^\d{8}").any():
        with_clock = text.str.replace(compact.replace("?)?$", ")$"), "${1}-${2}-${3} ${4}:${5}:${6}")
        with_clock = with_clock.str.replace(
            r"^(\d{4})(\d{2})(\d{2})[T ]?(\d{2})(\d{2})$", "${1}-${2}-${3} ${4}:${5}"
        )
        text = with_clock.str.replace(r"^(\d{4})(\d{2})(\d{2})(T|\s|$)", "${1}-${2}-${3} ").str.strip_chars()
    if not text.str.contains(r"(?i)[a-z]{3}.*\d{2}").any():
        return text
    text = text.str.replace(r"(?i)^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? +", "")
    for number, name in enumerate(_MONTHS, 1):
        text = text.str.replace(
            rf"(?i)^(\d{{1,2}})[-/. ]{name}[a-z]*[-/., ]+(\d{{2,4}})", f"${{2}}-{number:02d}-${{1}}"
        )
        text = text.str.replace(
            rf"(?i)^{name}[a-z]*\.? +(\d{{1,2}}),? +(\d{{4}})", f"${{2}}-{number:02d}-${{1}}"
        )
    return text.str.replace(r"^(\d{2})-(\d{2})-(\d{1,2})(\D|$)", "20${1}-${2}-${3}${4}")


def _whole(series: pl.Series, missing: int = 0) -> IntArray:
    return series.cast(pl.Int64, strict=False).fill_null(missing).to_numpy()


def _short(parts: pl.DataFrame) -> BoolArray:
    """Rows whose year does not stand first with four digits."""
    a = _whole(parts["a"])
    return np.asarray((a > 0) & (a <= 31))


def _find_order(parts: pl.DataFrame, declared: DateOrder | None) -> DateOrder | None:
    """The order of year, month and day: written out, declared, proved by a day above 12, or the only plausible."""
    short = _short(parts)
    if not short.any() or declared is not None:
        return declared if short.any() and declared else "ymd"
    a, b, c = (_whole(parts[name])[short] for name in "abc")
    if len(a) < (_whole(parts["a"]) > 0).sum():
        return None  # some rows begin with the year, some do not
    four_digits = bool((c > 31).all())
    proofs = {(True, False): "dmy", (False, True): "mdy", (False, False): None, (True, True): "none"}
    proved = proofs[bool((a > 12).any()), bool((b > 12).any())]
    if four_digits and proved is not None:
        return proved if proved != "none" else None  # type: ignore[return-value]
    orders: tuple[DateOrder, ...] = ("dmy", "mdy") if four_digits else ("dmy", "mdy", "ymd")
    plausible = [order for order in orders if _is_plausible(parts, order)]
    return plausible[0] if len(plausible) == 1 else None


def _is_plausible(parts: pl.DataFrame, order: DateOrder) -> bool:
    """Whether all dates exist, time runs one way, and most steps from date to date fit bars of up to a week."""
    days, bad = _count_days(parts, order)
    steps = np.diff(days[~bad])
    steps = steps[steps != 0]
    one_way = bool((steps > 0).all() or (steps < 0).all())
    known = _whole(parts["a"]) > 0
    return (
        not bad[known].any()
        and len(steps) > 0
        and one_way
        and bool(np.median(np.abs(steps)) <= _LONGEST_STEP)
    )


def _example(parts: pl.DataFrame, mask: BoolArray) -> str:
    first = parts.row(int(np.flatnonzero(mask)[0]))
    return "/".join(str(part) for part in first[:3])


def _count_days(parts: pl.DataFrame, order: DateOrder) -> tuple[IntArray, BoolArray]:
    a, b, c = (_whole(parts[name]) for name in "abc")
    year, month, day = {"ymd": (a, b, c), "dmy": (c, b, a), "mdy": (c, a, b)}[order]
    year = np.where((year > 0) & (year < 100), year + np.where(year < 70, 2000, 1900), year)
    bad = (year < _YEARS[0]) | (year > _YEARS[1]) | (month < 1) | (month > 12) | (day < 1)
    months = np.where(bad, 0, (year - 1970) * 12 + month - 1).astype("datetime64[M]")
    first = months.astype("datetime64[D]").astype(np.int64)
    following = (months + 1).astype("datetime64[D]").astype(np.int64)
    return first + day - 1, bad | (first + day > following)


def _count_clock(parts: pl.DataFrame) -> tuple[IntArray, BoolArray]:
    hour, minute, second = _whole(parts["h"]), _whole(parts["mi"]), _whole(parts["s"])
    fraction = _whole(parts["f"].str.pad_end(6, "0").str.slice(0, 6))
    half = parts["m"].str.to_lowercase()
    twelve = half.is_not_null().to_numpy()
    bad = (hour > 23) | (minute > 59) | (second > 59) | (twelve & ((hour < 1) | (hour > 12)))
    bare = parts["h"].is_not_null() & parts["mi"].is_null() & half.is_null()  # "2017-01-01 10" names no time
    bad |= bare.to_numpy()
    afternoon = (half == "p").fill_null(value=False).to_numpy()
    hour = np.where(twelve, hour % 12 + 12 * afternoon, hour)
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction, bad


def _count_offset(zone: pl.Series) -> IntArray:
    text = zone.str.to_uppercase().str.replace("Z", "+0000").str.replace(":", "")
    sign = np.where(text.str.starts_with("-").fill_null(value=False).to_numpy(), -1, 1)
    minutes = _whole(text.str.slice(1, 2)) * 60 + _whole(text.str.slice(3, 2))
    return np.asarray(sign * minutes * 60_000_000)
