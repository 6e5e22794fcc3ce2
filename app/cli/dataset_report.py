"""A dataset's report as a page that reads at a glance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from app.cli import figures, terminal
from app.cli.price_chart import draw_prices
from app.market.bars import Bars
from app.market.declarations import Declarations
from app.market.report import DatasetReport, Volumes, moment_of

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Described:
    """What is known of bars without their rows."""

    name: str
    """The file's or the dataset's name."""
    rows: int
    """Number of bars."""
    bar_seconds: int
    """Length of a bar in seconds."""
    starts_at: str
    """Time of the first bar, ISO 8601."""
    ends_at: str
    """Time of the last bar."""
    sha256: str
    """The dataset's version."""
    declarations: Declarations
    """What was declared about the file."""
    report: DatasetReport
    """Segments, gaps, jumps, volume, prices, warnings."""


def draw_dataset(row: Mapping[str, Any]) -> RenderableType:
    """The page of a dataset that the service keeps, as GET /datasets/{id} answers."""
    names = ("name", "rows", "bar_seconds", "starts_at", "ends_at", "sha256")
    declared = Declarations.from_plain(row["declarations"])
    report = DatasetReport.from_plain(row["report"])
    bars = Described(**{name: row[name] for name in names}, declarations=declared, report=report)
    origin = {name: row[name] for name in ("id", "source", "licence", "created_at") if row.get(name)}
    facts = terminal.pairs([*_facts(bars), *origin.items()])
    return terminal.stack(_headline(bars), facts, *_draw_warnings(report))


def draw_check(name: str, bars: Bars, report: DatasetReport) -> RenderableType:
    """The page of a file that the service would take."""
    starts, ends = (str(moment_of(bars.utc_us[row])) for row in (0, -1))
    found = Described(name, len(bars), bars.bar_seconds, starts, ends, bars.sha256, bars.declarations, report)
    facts = (draw_prices(bars), terminal.pairs(_facts(found)), *_draw_warnings(report))
    return terminal.stack(_headline(found), *facts, _verdict(len(report.warnings)))


def _draw_warnings(report: DatasetReport) -> list[RenderableType]:
    warnings = [warning.plain() for warning in report.warnings]
    return [draw_findings(warnings, "yellow")] if warnings else []


def draw_refusal(name: str, findings: Sequence[Mapping[str, Any]]) -> RenderableType:
    """The page of a file that the service would refuse."""
    count = f"{len(findings)} error{'s' * (len(findings) != 1)}"
    verdict = Text.assemble(("✗ refused", "bold red"), f": {count}")
    return terminal.stack(terminal.cell(name, "bold"), draw_findings(findings, "red"), verdict)


def draw_findings(findings: Sequence[Mapping[str, Any]], style: str) -> Table:
    """Findings: code, how many, first rows, what was found and what to do about it."""
    table = terminal.grid(
        "finding", "count", "first rows", "what, and the fix", right=("count",), whole=("finding",)
    )
    for finding in findings:
        rows = ", ".join(map(str, finding["rows"])) + (
            ", …" if finding["count"] > len(finding["rows"]) > 0 else ""
        )
        words = Text(terminal.plain(finding["message"])).append(f"\n→ {finding['fix']}", style="dim")
        table.add_row(
            terminal.cell(finding["code"], style), f"{finding['count']:,}", terminal.cell(rows), words
        )
    return table


def _headline(bars: Described) -> Text:
    ends = [figures.moment(moment) for moment in (bars.starts_at, bars.ends_at)]
    span = " → ".join(end[: 10 if bars.bar_seconds >= figures.DAY else 16] for end in ends)
    rows = f"{bars.rows:,} bars of {figures.duration(bars.bar_seconds)}"
    return Text.assemble((terminal.plain(bars.name), "bold"), f"\n{rows}  ·  {span} UTC")


def _facts(bars: Described) -> list[tuple[str, Any]]:
    declared, report = bars.declarations, bars.report
    prices = report.prices
    facts: list[tuple[str, Any]] = []
    if prices is not None:
        ends = f"{prices.first:,.6g} → {prices.last:,.6g} ({figures.signed_percent(prices.change)})"
        facts.append(("close", f"{ends}, between {prices.low:,.6g} and {prices.high:,.6g}"))
    facts += [
        ("volume", _say_volume(report.volume)),
        ("segments", _say_segments(report)),
        ("jumps", _say_jumps(report)),
        (
            "calendar",
            f"{declared.known_calendar.name}, hours of {declared.local_timezone}; prices {declared.adjusted}",
        ),
    ]
    if report.is_adjusted:
        facts.append(("adjusted", "prices were multiplied by Adj Close / Close"))
    if report.dropped_twins:
        facts.append(("dropped", f"{report.dropped_twins:,} rows that repeat the one before"))
    for own in report.own_features:
        facts.append((own.name, f"own feature: {own.low:,.4g} … median {own.median:,.4g} … {own.high:,.4g}"))
    return [*facts, ("sha256", bars.sha256)]


def _say_volume(volume: Volumes | None) -> str:
    if volume is None:
        return "none: volume features are masked"
    unit = f" in {volume.unit}" if volume.unit else ""
    column = f"column {volume.column}" if volume.column else "there"
    missing = f", {volume.missing_rows:,} missing" if volume.missing_rows else ""
    zero = f", {volume.zero_rows:,} zero" if volume.zero_rows else ""
    if volume.lowest_median is None:
        return f"{column}{unit}{missing}{zero}"
    medians = f"{volume.lowest_median:,.4g} … {volume.highest_median:,.4g}"
    return f"{column}{unit}, median of 200 bars {medians}{missing}{zero}"


def _say_segments(report: DatasetReport) -> str:
    words = (
        f"{report.segment_count:,}, {report.gap_count:,} gaps, {report.closings:,} closings by the calendar"
    )
    if report.unused_bars:
        words += f"; {report.unused_bars:,} bars too short a stretch to use"
    longest = report.gaps[:_SHOWN]
    listed = [
        f"{figures.duration(gap.seconds)} after {figures.moment(gap.last_before)[:16]}" for gap in longest
    ]
    return words + (f"; longest {', '.join(listed)}" if listed else "")


def _say_jumps(report: DatasetReport) -> str:
    shown = [
        f"{figures.signed_percent(jump.change)} at {figures.moment(jump.at)[:16]}"
        for jump in report.jumps[:_SHOWN]
    ]
    return f"{report.jump_count:,}" + (f": {', '.join(shown)}" if shown else "")


def _verdict(warnings: int) -> Text:
    if not warnings:
        return Text.assemble(("✓ clean", "bold green"), ": the service would take it")
    count = f"{warnings} warning{'s' * (warnings != 1)}"
    return Text.assemble(("✓ accepted", "bold yellow"), f", with {count} worth a look")
