"""Bytes, counts, times and shares as people read them."""

from collections.abc import Sequence
from typing import Any

NOTHING = "\N{EN DASH}"
"""Stands for a value that there is none of."""

DAY, HOUR, MINUTE = 86_400, 3_600, 60


def size(count: int) -> str:
    """Bytes in both units that people call megabytes."""
    if count < 100_000:
        return f"{count:,} B"
    if count < 10**10:
        return f"{count / 1e6:,.2f} MB = {count / (1 << 20):,.2f} MiB"
    return f"{count / 1e9:,.2f} GB = {count / (1 << 30):,.2f} GiB"


def short_size(count: int) -> str:
    """Bytes in one unit, for a column."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count} B"


def percent(share: float | None, digits: int = 1) -> str:
    """A share of 0 to 1."""
    return NOTHING if share is None else f"{100 * share:.{digits}f} %"


def signed_percent(share: float | None, digits: int = 1) -> str:
    """A return, with its sign."""
    return NOTHING if share is None else f"{100 * share:+.{digits}f} %"


def number(value: float | None, digits: int = 2) -> str:
    """A measured value; large and tiny ones in exponents."""
    if value is None:
        return NOTHING
    return f"{value:.{digits}e}" if value and not 1e-4 <= abs(value) < 1e6 else f"{value:.{digits}f}"


def duration(seconds: float | None) -> str:
    """A time span in its two largest units."""
    if seconds is None:
        return NOTHING
    whole = round(seconds)
    for unit, name, below, small in (
        (DAY, "d", HOUR, "h"),
        (HOUR, "h", MINUTE, "min"),
        (MINUTE, "min", 1, "s"),
    ):
        if whole >= unit:
            rest = whole % unit // below
            return f"{whole // unit} {name}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def chain(obs_dim: Any, hidden_dims: Sequence[Any], action_dim: Any) -> str:
    """A network as its widths, from the observation to the actions."""
    widths = (obs_dim, *hidden_dims, action_dim)
    return " → ".join(f"{width:,}" if isinstance(width, int) else str(width or "?") for width in widths)


def bar(share: float, width: int = 20) -> str:
    """A share as a horizontal bar; never empty for more than nothing."""
    eighths = max(round(share * width * 8), 1 if share > 0 else 0)
    return "█" * (eighths // 8) + ("▏▎▍▌▋▊▉"[eighths % 8 - 1] if eighths % 8 else "")


def short_moment(stamp: str | None) -> str:
    """An ISO time to the minute, without its year, for a column."""
    return NOTHING if not stamp else stamp[5:16].replace("T", " ")


def moment(stamp: str | None) -> str:
    """An ISO time without fractions and zone (the service speaks UTC)."""
    return NOTHING if not stamp else stamp[:19].replace("T", " ")
