"""Line charts over time as inline SVG; colours come from the page's style sheet by class name."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from markupsafe import Markup, escape

from app.market.curves import Curve

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 900, 58, 8, 10, 24
"""Pixels of the drawing's own scale; the page scales it."""

TIME_LABELS = 5
VALUE_LINES = 5

NAMES = {"policy": "policy", "buy_and_hold": "buy & hold", "sma_cross": "SMA 20/100"}
"""Strategy -> how charts call it; the key is also the line's class."""


def draw_chart(curve: Curve, what: str, height: int) -> Markup:
    """The `equity` or `drawdown` of a curve's strategies, the policy on top."""
    lines: dict[str, tuple[float, ...]] = getattr(curve, what)
    values = [value for series in lines.values() for value in series]
    ticks = choose_ticks(min(values), max(values))
    low, high = min(ticks[0], *values), max(ticks[-1], *values)

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (height - TOP - BOTTOM)

    xs = _place_times(curve.seconds)
    parts = [_describe(curve, what, height), *(_rule(y(tick), f"{tick:.6g}") for tick in ticks)]
    parts += [_time_label(x, second, height) for x, second in _time_labels(xs, curve.seconds)]
    parts += [_line(name, xs, [y(v) for v in series]) for name, series in reversed(list(lines.items()))]
    return Markup("").join([*parts, Markup("</svg>")])


def choose_ticks(low: float, high: float) -> tuple[float, ...]:
    """Round values from just below `low` to just above `high`, about five of them, rising."""
    if high - low < 1e-9:
        low, high = low - 0.01, high + 0.01
    raw = (high - low) / (VALUE_LINES - 1)
    decade = 10.0 ** math.floor(math.log10(raw))
    step = next(decade * factor for factor in (1, 2, 2.5, 5, 10) if decade * factor >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(number * step, 12) for number in range(first, last + 1))


def _place_times(seconds: Sequence[int]) -> list[float]:
    span = max(1, seconds[-1] - seconds[0])
    return [LEFT + (second - seconds[0]) / span * (WIDTH - LEFT - RIGHT) for second in seconds]


def _describe(curve: Curve, what: str, height: int) -> Markup:
    names = ", ".join(NAMES[name] for name in getattr(curve, what))
    label = escape(f"{what} of {names} over the {curve.name} span")
    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">'
    return Markup(head)  # noqa: S704 - the label is escaped, the rest are numbers


def _rule(y: float, label: str) -> Markup:
    line = Markup('<line class="rule" x1="{}" x2="{}" y1="{}" y2="{}"/>')
    text = Markup('<text x="{}" y="{}" text-anchor="end">{}</text>')
    return line.format(LEFT, WIDTH - RIGHT, f"{y:.1f}", f"{y:.1f}") + text.format(
        LEFT - 6, f"{y + 4:.1f}", label
    )


def _time_labels(xs: Sequence[float], seconds: Sequence[int]) -> list[tuple[float, int]]:
    count = min(TIME_LABELS, len(seconds))
    places = [round(k * (len(seconds) - 1) / max(1, count - 1)) for k in range(count)]
    return [(xs[place], seconds[place]) for place in places]


def _time_label(x: float, second: int, height: int) -> Markup:
    anchor = "start" if x < LEFT + 30 else "end" if x > WIDTH - RIGHT - 30 else "middle"
    day = datetime.fromtimestamp(second, UTC).date().isoformat()
    text = Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>')
    return text.format(f"{x:.1f}", height - 6, anchor, day)


def _line(name: str, xs: Sequence[float], ys: Sequence[float]) -> Markup:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
    return Markup('<polyline class="{}" points="{}"/>').format(name, points)
