"""A file of bars read as the service would read it, and what it would say, on the terminal or as JSON."""

from pathlib import Path
from typing import Any

from app.cli import terminal
from app.cli.dataset_report import draw_check, draw_refusal
from app.cli.group import EXIT_ERROR, EXIT_FINDING
from app.errors import InvalidDataset
from app.market.bars import Bars, read_bars
from app.market.chart import draw_chart
from app.market.declarations import Declarations
from app.market.report import describe_bars, moment_of


def check_file(
    file: Path, declared: dict[str, Any], chart: Path | None, *, strict: bool, as_json: bool
) -> int:
    """Read, write the chart where one is wanted, print; returns the exit code."""
    try:
        bars = read_bars(file, Declarations(**declared))
    except InvalidDataset as refusal:
        _show_refusal(file, refusal, as_json=as_json)
        return EXIT_ERROR
    if chart is not None:
        chart.write_text(draw_chart(bars, file.name), encoding="utf-8")
    if as_json:
        terminal.print_json(plain_check(file, bars))
    else:
        terminal.show(draw_check(file.name, bars, describe_bars(bars)))
    return EXIT_FINDING if strict and bars.warnings else 0


def plain_check(file: Path, bars: Bars) -> dict[str, Any]:
    """What the service would answer to the upload, as plain types."""
    return {
        "file": file.name,
        "accepted": True,
        "rows": len(bars),
        "bar_seconds": bars.bar_seconds,
        "starts_at": moment_of(bars.utc_us[0]),
        "ends_at": moment_of(bars.utc_us[-1]),
        "sha256": bars.sha256,
        "declarations": bars.declarations.plain(),
        "report": describe_bars(bars).plain(),
    }


def _show_refusal(file: Path, refusal: InvalidDataset, *, as_json: bool) -> None:
    findings = refusal.extra["findings"]
    if as_json:
        terminal.print_json({"file": file.name, "accepted": False, "findings": findings})
    else:
        terminal.show(draw_refusal(file.name, findings))
