"""A small price chart of a dataset as SVG: range and close, volume below, gaps and jumps marked."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape

import numpy as np
import numpy.typing as npt

from app.market.bars import Bars
from app.market.doubts import find_jumps

WIDTH, HEIGHT = 800, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 12, 34, 26
_VOLUME_HEIGHT = 48
_COLUMNS = 700
_MOST_MARKS = 200  # of gaps, and of jumps
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STYLE = (
    "svg{--ink:#1c2733;--dim:#64748b;--grid:#e2e8f0;--line:#0f62a8;--range:#9cc3e6;--gap:#fde8c8;--jump:#c2410c;--paper:#fff}"
    "@media(prefers-color-scheme:dark){svg{--ink:#e5e9ef;--dim:#93a1b3;--grid:#2b3644;--line:#6cb4f5;--range:#2f5c86;"
    "--gap:#4a3a1e;--jump:#fb923c;--paper:#131a22}}"
    "text{font:11px system-ui,sans-serif;fill:var(--dim)}.title{font-size:13px;font-weight:600;fill:var(--ink)}"
    ".line{fill:none;stroke:var(--line);stroke-width:1.2}.range{fill:none;stroke:var(--range);stroke-width:1}"
    ".grid{stroke:var(--grid)}.volume{fill:none;stroke:var(--dim);opacity:.55}.gap{fill:var(--gap)}.jump{fill:var(--jump)}"
)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PriceColumns:
    """Bars gathered by time into columns of equal length; only columns that hold bars, all of one length."""

    at: npt.NDArray[np.int64]
    """Number of the column, 0 to `count` - 1."""
    low: Floats
    high: Floats
    close: Floats
    """Close of the column's last bar."""
    volume: Floats
    """Sum; 0 where there is none."""
    broken: npt.NDArray[np.bool_]
    """Whether a gap lies before the column's last bar and after the column before."""


def gather_columns(bars: Bars, count: int) -> PriceColumns:
    """Gather the bars into at most `count` columns of equal time."""
    first, last = int(bars.utc_us[0]), int(bars.utc_us[-1])
    share = (bars.utc_us - first) / max(1, last - first)
    column = np.minimum((share * count).astype(np.int64), count - 1)
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    ends = np.append(starts[1:], len(column)) - 1
    gap = np.zeros(len(bars), dtype=np.int64)
    gap[[start for start, _ in bars.segments[1:]]] = 1
    return PriceColumns(
        column[starts],
        np.minimum.reduceat(bars.low, starts),
        np.maximum.reduceat(bars.high, starts),
        bars.close[ends],
        np.add.reduceat(np.nan_to_num(bars.volume), starts),
        np.add.reduceat(gap, starts) > 0,
    )


def draw_chart(bars: Bars, title: str) -> str:
    """The chart as an SVG document, legible on light and dark ground."""
    columns = gather_columns(bars, _COLUMNS)
    low, high = float(columns.low.min()), float(columns.high.max())
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    label = f'role="img" aria-label="{escape(title, quote=True)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {label}><style>{_STYLE}</style>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="var(--paper)"/>',
        f'<text class="title" x="{_LEFT}" y="20">{escape(title)}</text>',
        _draw_caption(bars),
        *_draw_gaps(bars),
        *_draw_prices_axis(low, high),
        *_draw_dates_axis(bars),
        *_draw_volume(columns),
        *_draw_prices(columns, low, high),
        *_draw_jumps(bars, low, high),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _x(share: float) -> float:
    return _LEFT + share * (WIDTH - _LEFT - _RIGHT)


def _y(price: float, low: float, high: float) -> float:
    bottom = HEIGHT - _BOTTOM - _VOLUME_HEIGHT
    share = (price - low) / (high - low) if high > low else 0.5
    return bottom - share * (bottom - _TOP)


def _share(bars: Bars, row: int) -> float:
    first, last = int(bars.utc_us[0]), int(bars.utc_us[-1])
    return (int(bars.utc_us[row]) - first) / max(1, last - first)


def _draw_caption(bars: Bars) -> str:
    jumps, gaps = int(find_jumps(bars.close, bars.segments).sum()), len(bars.segments) - 1
    words = f"{len(bars):,} bars"
    words += f" · {gaps:,} gap{'s' * (gaps != 1)} shaded" if gaps else ""
    words += f" · {jumps:,} jump{'s' * (jumps != 1)} dotted" if jumps else ""
    return f'<text x="{WIDTH - _RIGHT}" y="20" text-anchor="end">{words}</text>'


def _draw_gaps(bars: Bars) -> list[str]:
    drawn = []
    for start, _ in bars.segments[1 : _MOST_MARKS + 1]:
        left, right = _x(_share(bars, start - 1)), _x(_share(bars, start))
        width = max(1.5, right - left)
        drawn.append(
            f'<rect class="gap" x="{left:.1f}" y="{_TOP}" width="{width:.1f}" height="{HEIGHT - _BOTTOM - _TOP}">'
            "<title>gap</title></rect>"
        )
    return drawn


def _draw_prices_axis(low: float, high: float) -> list[str]:
    drawn = []
    for price in _round_steps(low, high):
        y = _y(price, low, high)
        drawn.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        drawn.append(
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_label(price, high - low)}</text>'
        )
    return drawn


def _round_steps(low: float, high: float) -> list[float]:
    if high <= low:
        return [low]
    raw = (high - low) / 4
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    return [n * step for n in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def _label(price: float, spread: float) -> str:
    digits = int(np.clip(2 - np.floor(np.log10(spread)), 0, 10)) if spread > 0 else 4
    return f"{price:,.{digits}f}"


def _draw_dates_axis(bars: Bars) -> list[str]:
    drawn, first, last = [], int(bars.utc_us[0]), int(bars.utc_us[-1])
    form = "%Y-%m-%d" if last - first > 5 * 86_400_000_000 else "%m-%d %H:%M"
    for quarter, anchor in enumerate(("start", "middle", "middle", "middle", "end")):
        moment = _EPOCH + timedelta(microseconds=first + (last - first) * quarter // 4)
        place = f'x="{_x(quarter / 4):.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}"'
        drawn.append(f"<text {place}>{moment.strftime(form)}</text>")
    return drawn


def _draw_volume(columns: PriceColumns) -> list[str]:
    most = float(columns.volume.max())
    if most <= 0:
        return []
    bottom = HEIGHT - _BOTTOM
    heights = columns.volume / most * (_VOLUME_HEIGHT - 6)
    pairs = zip(columns.at, heights, strict=True)
    path = "".join(
        f"M{_x(at / _COLUMNS):.1f} {bottom}v{-height:.1f}" for at, height in pairs if height >= 0.1
    )
    return [f'<path class="volume" d="{path}"/>']


def _draw_prices(columns: PriceColumns, low: float, high: float) -> list[str]:
    rows = zip(columns.at, columns.low, columns.high, columns.close, columns.broken, strict=True)
    ranges: list[str] = []
    line: list[str] = []
    for at, bottom, top, close, broken in rows:
        x = f"{_x((at + 0.5) / _COLUMNS):.1f}"
        ranges.append(f"M{x} {_y(bottom, low, high):.1f}V{_y(top, low, high):.1f}")
        line.append(f"{'M' if broken or not line else 'L'}{x} {_y(close, low, high):.1f}")
    return [f'<path class="range" d="{"".join(ranges)}"/>', f'<path class="line" d="{"".join(line)}"/>']


def _draw_jumps(bars: Bars, low: float, high: float) -> list[str]:
    rows = np.flatnonzero(find_jumps(bars.close, bars.segments))[:_MOST_MARKS]
    return [
        f'<circle class="jump" cx="{_x(_share(bars, row)):.1f}" cy="{_y(float(bars.close[row]), low, high):.1f}" '
        f'r="3"><title>jump of {bars.close[row] / bars.close[row - 1] - 1:+.1%}</title></circle>'
        for row in rows
    ]
