"""How pages write numbers, sizes, shares and times; a dash stands for what is not known."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

NOTHING = "\N{EN DASH}"
THIN = "\N{NARROW NO-BREAK SPACE}"
TIMES = " \N{MULTIPLICATION SIGN} "
PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
"""Decimal prefixes, the largest first."""

MINUTE, HOUR, DAY = 60, 3_600, 86_400


def count(value: float | None) -> str:
    """A whole number with its thousands apart."""
    return NOTHING if value is None else f"{round(value):,}"


def compact(value: float | None) -> str:
    """A large number in three digits, such as 13.7 M."""
    if value is None:
        return NOTHING
    return _scaled(value, "") or f"{value:,.4g}"


def size(value: float | None) -> str:
    """Bytes in decimal units, such as 164.3 MB; card makers and disks count so."""
    if value is None:
        return NOTHING
    return _scaled(value, "B") or f"{value:,.0f}{THIN}B"


def signed_size(value: float | None) -> str:
    """A difference of sizes, with its sign."""
    return NOTHING if value is None else f"{_sign(value)}{size(abs(value))}"


def signed_count(value: float | None) -> str:
    """A difference of counts, with its sign."""
    return NOTHING if value is None else f"{_sign(value)}{abs(value):,}"


def share(value: float | None) -> str:
    """A part of the whole, in percent."""
    if value is None:
        return NOTHING
    return f"{value:.1%}" if value >= 0.001 or value == 0 else "<0.1%"


def decimal(value: float | None, digits: int = 4) -> str:
    """A measured value in so many significant digits."""
    return NOTHING if value is None else f"{value:,.{digits}g}"


def duration(seconds: float | None) -> str:
    """A span of time in its two largest units."""
    if seconds is None:
        return NOTHING
    if seconds < MINUTE:
        return f"{seconds:.1f}{THIN}s" if seconds < 10 else f"{seconds:.0f}{THIN}s"
    for unit, name, part, part_name in ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "min")):
        if seconds >= unit:
            return f"{int(seconds // unit)}{THIN}{name} {int(seconds % unit // part)}{THIN}{part_name}"
    return f"{int(seconds // MINUTE)}{THIN}min {int(seconds % MINUTE)}{THIN}s"


def bar_length(seconds: int) -> str:
    """The length of a bar in its largest whole unit, such as 15 min."""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds % unit == 0:
            return f"{seconds // unit}{THIN}{name}"
    return f"{seconds}{THIN}s"


def moment(value: str | datetime | None) -> str:
    """A point in time, to the minute, in UTC; machines read it whole."""
    if value is None:
        return NOTHING
    point = (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)
    shown = point.strftime("%Y-%m-%d %H:%M")
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(point.isoformat(), point, shown)


def dims(value: Sequence[int] | None) -> str:
    """Widths of layers, such as 512, 256, 128."""
    return NOTHING if value is None else ", ".join(str(width) for width in value)


def shape(value: Sequence[int]) -> str:
    """Sizes of a tensor's dimensions, such as 2,048 by 5,300; of a scalar, none."""
    return TIMES.join(f"{each:,}" for each in value) or "scalar"


def words(value: str) -> str:
    """A name of the API as words, such as `first layer` for first_layer."""
    return value.replace("_", " ")


def plain(value: Any) -> str:
    """Any JSON value as one line of text."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(str(item) if isinstance(item, int) else plain(item) for item in value) or NOTHING
    return (
        ", ".join(f"{name}: {plain(item)}" for name, item in value.items())
        if isinstance(value, dict)
        else str(value)
    )


def _sign(value: float) -> str:
    return "+" if value > 0 else "\N{MINUS SIGN}" if value < 0 else "\N{PLUS-MINUS SIGN}"


def _scaled(value: float, unit: str) -> str:
    """Three or four digits with a decimal prefix; empty for what needs none."""
    for factor, prefix in PREFIXES:
        if abs(value) >= factor * 0.9995:
            scaled = value / factor
            digits = 2 if abs(scaled) < 10 else 1 if abs(scaled) < 1_000 else 0
            return f"{scaled:,.{digits}f}{THIN}{prefix}{unit}"
    return ""


FILTERS: dict[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        count,
        compact,
        size,
        signed_size,
        signed_count,
        share,
        decimal,
        duration,
        bar_length,
        moment,
        dims,
        shape,
        words,
        plain,
    )
}
"""The filters of the templates, by name."""
