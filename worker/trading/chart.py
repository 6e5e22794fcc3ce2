"""An evaluation as one picture: equity against baselines, drawdown, folds or spans, and the verdict."""

import textwrap
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from app.market.curves import Curve
from app.market.job_report import AssetReport
from app.market.performance import Performance

INCHES = (11.0, 8.5)
DPI = 110
"""Together a picture of 1210 x 935 pixels."""

STYLES = {
    "policy": ("policy", "#1f5fbf", 1.8),
    "buy_and_hold": ("buy & hold", "#888888", 1.3),
    "sma_cross": ("SMA 20/100", "#d08a1d", 1.0),
}
"""Strategy -> its name, colour and line width; the same colours as the page's."""

SHOWN_FOLDS = 8
"""Folds that the table has room for; the page shows all."""

WIDTH, SENTENCES = 150, 7


def draw_chart(report: AssetReport, job_name: str, path: Path) -> None:
    """Write the picture of an asset's report as PNG; without fonts or files from elsewhere."""
    with warnings.catch_warnings():
        # A name may hold letters that the font lacks: they are drawn as boxes.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        _draw(report, job_name, path)


def _draw(report: AssetReport, job_name: str, path: Path) -> None:
    figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    parts = figure.subplot_mosaic(
        [["words"], ["equity"], ["drawdown"], ["table"]], height_ratios=[1.5, 3.2, 1.4, 1.7]
    )
    curve = _main_curve(report)
    _write_words(parts["words"], report, job_name)
    _draw_lines(parts["equity"], curve, "equity")
    parts["equity"].set_ylabel("equity")
    parts["equity"].set_title(_title(report, curve), loc="left", fontsize=10)
    parts["equity"].legend(loc="upper left", frameon=False, fontsize=8)
    _draw_lines(parts["drawdown"], curve, "drawdown")
    parts["drawdown"].set_ylabel("drawdown")
    parts["drawdown"].sharex(parts["equity"])
    _draw_table(parts["table"], report)
    with path.open("wb") as file:
        canvas.print_png(file, metadata={"Software": None})


def _main_curve(report: AssetReport) -> Curve:
    """The joined test spans of all folds where there are any, else the job's own test span."""
    group = report.walk_forward
    return group.joined.curve if group is not None and group.joined is not None else report.curves[-1]


def _title(report: AssetReport, curve: Curve) -> str:
    costs = "before costs" if report.evaluation.before_costs else "after costs"
    group = report.walk_forward
    span = (
        f"test spans of all {group.folds} folds" if group and curve.name == "joined" else f"{curve.name} span"
    )
    return f"Out of sample: {span}, {costs}"


def _write_words(axes: Axes, report: AssetReport, job_name: str) -> None:
    axes.set_axis_off()
    title = _shorten(f"{job_name} on {report.dataset_name}", 100)
    _write(axes, 1.0, title, fontsize=12, fontweight="bold")
    joined = report.walk_forward.joined if report.walk_forward else None
    sentences = ((joined.verdict,) if joined else ()) + report.evaluation.verdict
    lines = [line for words in sentences for line in textwrap.wrap(f"• {words}", WIDTH)]
    if len(lines) > SENTENCES:
        lines = [*lines[: SENTENCES - 1], "• … the page says the rest."]
    _write(axes, 0.8, "\n".join(lines), fontsize=8)


def _write(axes: Axes, height: float, text: str, **look: Any) -> None:
    """Text that is taken as it is: a user's `$` begins no formula."""
    printable = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    axes.text(0, height, printable, va="top", transform=axes.transAxes, parse_math=False, **look)


def _draw_lines(axes: Axes, curve: Curve, what: str) -> None:
    moments = [datetime.fromtimestamp(second, UTC) for second in curve.seconds]
    for strategy, values in getattr(curve, what).items():
        name, colour, width = STYLES[strategy]
        axes.plot(moments, values, label=name, color=colour, linewidth=width)  # type: ignore[arg-type]
    axes.axhline(1.0 if what == "equity" else 0.0, color="#cccccc", linewidth=0.8, zorder=0)
    axes.grid(visible=True, axis="y", color="#eeeeee")
    axes.spines[["top", "right"]].set_visible(False)
    locator = AutoDateLocator(minticks=3, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.tick_params(labelsize=8)


def _draw_table(axes: Axes, report: AssetReport) -> None:
    axes.set_axis_off()
    head, rows = _fold_rows(report) if report.walk_forward else _span_rows(report)
    table = axes.table(cellText=rows, colLabels=head, loc="center", cellLoc="right", edges="horizontal")
    table.auto_set_font_size(value=False)
    table.set_fontsize(8)


def _span_rows(report: AssetReport) -> tuple[Sequence[str], list[list[str]]]:
    head = ("span", "from", "to", "return", "Sharpe", "drawdown", "trades", "buy & hold", "its Sharpe")
    rows = [
        [span.name, span.first_bar[:10], span.last_bar[:10], *_figures(span.policy, span.buy_and_hold)]
        for span in report.evaluation.spans
    ]
    return head, rows


def _fold_rows(report: AssetReport) -> tuple[Sequence[str], list[list[str]]]:
    assert report.walk_forward is not None
    group = report.walk_forward
    head = ("fold", "test from", "to", "return", "Sharpe", "drawdown", "trades", "buy & hold", "its Sharpe")
    rows = [
        [
            f"{row.fold} of {group.folds}",
            row.first_bar[:10],
            row.last_bar[:10],
            *_figures(row.test, row.holding),
        ]
        for row in group.finished[:SHOWN_FOLDS]
    ]
    if group.joined is not None:
        rows.append(["all", "", "", *_figures(group.joined.policy, group.joined.buy_and_hold)])
    return head, rows


def _figures(policy: Performance, holding: Performance) -> list[str]:
    return [
        f"{policy.total_return:+.1%}",
        _number(policy.sharpe),
        f"{policy.max_drawdown:.1%}",
        f"{policy.trades:,}",
        f"{holding.total_return:+.1%}",
        _number(holding.sharpe),
    ]


def _number(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.2f}"


def _shorten(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
