"""Trading calendars: which pauses between two bars are expected, and how many bars make a year.

A calendar names no single holiday; it says how long a market may be closed before the pause is a gap.
That keeps the rule short and checkable. What it cannot see: a missing day no longer than a long weekend.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from app.errors import InvalidInput

DAY = 86_400
"""Seconds of a day."""

CalendarKind = Literal["always", "weekdays", "sessions"]

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Calendar:
    """When a market is open."""

    name: str
    """What the user declares, such as `24x7` or `XNYS` (ISO 10383)."""
    kind: CalendarKind
    """`always` open; `weekdays` round the clock; daily `sessions`."""
    timezone: str
    """Time zone of its dates, used where a file gives dates without one."""
    days_per_year: float
    """Trading days of a year."""
    session_seconds: int
    """Length of one trading day."""
    longest_pause_days: int
    """Most calendar days from one bar to the next that are no gap."""

    def periods_per_year(self, bar_seconds: int) -> float:
        """Bars of this length in a year; a session's last, shorter bar counts as one."""
        if bar_seconds >= DAY:
            days = 365.25 if bar_seconds > DAY else self.days_per_year
            return days * DAY / bar_seconds
        return self.days_per_year * -(-self.session_seconds // bar_seconds)


def _exchange(name: str, timezone: str, hours: float, pause: int = 5) -> Calendar:
    return Calendar(name, "sessions", timezone, 252.0, int(hours * 3600), pause)


CALENDARS: dict[str, Calendar] = {
    "24x7": Calendar("24x7", "always", "UTC", 365.25, DAY, 0),
    "24x5": Calendar("24x5", "weekdays", "UTC", 260.0, DAY, 4),
    "XNYS": _exchange("XNYS", "America/New_York", 6.5),
    "XNAS": _exchange("XNAS", "America/New_York", 6.5),
    "XLON": _exchange("XLON", "Europe/London", 8.5),
    "XETR": _exchange("XETR", "Europe/Berlin", 8.5, 6),
    "XTKS": _exchange("XTKS", "Asia/Tokyo", 6.0, 11),
    "XHKG": _exchange("XHKG", "Asia/Hong_Kong", 6.5, 6),
}
"""All calendars that can be declared."""


def calendar_named(name: str) -> Calendar:
    """Look a calendar up; raises InvalidInput with the known names."""
    try:
        return CALENDARS[name]
    except KeyError:
        hint = f"one of {', '.join(CALENDARS)}"
        raise InvalidInput(f"calendar is {name!r}", hint=hint, pointer="calendar") from None


def find_gaps(
    stamps_us: IntArray, bar_seconds: int, calendar: Calendar, local_us: IntArray | None = None
) -> BoolArray:
    """Mark each bar that follows an unexpected pause; shape [T], the first is never marked.

    `stamps_us` are bar opens in microseconds, in UTC for intraday bars and as local wall-clock time for
    days (which last 23 to 25 hours); `local_us` the local ones in both cases, which decide the date. 24x7: any missing bar is a gap.
    24x5: a pause of up to 4 days is expected if it spans part of a Saturday, Christmas or New Year's Day.
    Sessions: the pause overnight is expected up to `longest_pause_days` (XNYS: 5) calendar days.
    """
    gaps = np.zeros(len(stamps_us), dtype=np.bool_)
    bar_us = bar_seconds * 1_000_000
    missing = np.flatnonzero(np.diff(stamps_us) > bar_us)
    local = stamps_us if local_us is None else local_us
    before, after = local[missing], local[missing + 1]
    gaps[missing + 1] = ~_expected(before, after, bar_us, calendar)
    return gaps


def _expected(before: IntArray, after: IntArray, bar_us: int, calendar: Calendar) -> BoolArray:
    day_us = DAY * 1_000_000
    if calendar.kind == "always":
        return np.zeros(len(before), dtype=np.bool_)
    days = after // day_us - before // day_us
    short = days <= max(calendar.longest_pause_days, bar_us // day_us)
    if calendar.kind == "sessions":
        crosses_night = days > 0
        return np.asarray(short & crosses_night)
    return np.asarray(short & _touches_closed_day((before + bar_us) // day_us, (after - 1) // day_us))


def _touches_closed_day(first: IntArray, last: IntArray) -> BoolArray:
    touches = np.zeros(len(first), dtype=np.bool_)
    for offset in range(6):  # a pause that passes is no longer than 4 days
        day = first + offset
        dates = day.astype("datetime64[D]")
        year_day = dates - dates.astype("datetime64[Y]")
        christmas = dates - (dates.astype("datetime64[M]")) == np.timedelta64(24, "D")
        december = dates.astype("datetime64[M]").astype(np.int64) % 12 == 11
        saturday = (day + 3) % 7 == 5  # 1970-01-01 was a Thursday
        closed = saturday | (year_day == np.timedelta64(0, "D")) | (christmas & december)
        touches |= closed & (day <= last)
    return touches
