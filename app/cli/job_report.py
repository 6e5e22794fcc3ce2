"""How the evaluation of a job looks in a terminal: one short page for each dataset."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli import figures, terminal

Json = Mapping[str, Any]

STRATEGIES = (
    ("policy", "policy"),
    ("buy & hold", "buy_and_hold"),
    ("SMA 20/100", "sma_cross"),
    ("flat", "flat"),
)
"""What the table of the test span compares: a strategy's name and its key."""


def draw_report(report: Json) -> Group:
    """A job's report: the verdict first."""
    parts: list[RenderableType] = [Text(terminal.plain(report["job_name"]), style="bold")]
    for asset in report["assets"]:
        parts += _asset(asset)
    return terminal.stack(*parts)


def _asset(asset: Json) -> Iterable[RenderableType]:
    evaluation, group = asset["evaluation"], asset["walk_forward"]
    yield Text(terminal.plain(asset["dataset_name"]), style="bold")
    yield Group(*_verdict(asset))
    yield _spans(evaluation["spans"])
    yield _strategies(evaluation["spans"][-1])
    yield _stress(evaluation["stress"])
    if group:
        yield _folds(group)


def _verdict(asset: Json) -> Iterable[Text]:
    group = asset["walk_forward"]
    joined = [group["joined"]["verdict"]] if group and group["joined"] else []
    for sentence in (*joined, *asset["evaluation"]["verdict"]):
        yield Text(f"• {terminal.plain(sentence)}")
    if asset["openings"] > asset["opening"]:
        yield Text(f"• By now this test span has been opened {asset['openings']} times.")


def _spans(spans: Iterable[Json]) -> Table:
    table = terminal.grid(
        *("span", "from", "to", "Sharpe", "95 % interval", "over buy & hold", "95 % interval"),
        right=("Sharpe", "over buy & hold"),
    )
    for span in spans:
        table.add_row(
            terminal.cell(span["name"]),
            span["first_bar"][:10],
            span["last_bar"][:10],
            figures.number(span["policy"]["sharpe"]),
            _interval(span["sharpe_interval"], figures.number),
            figures.signed_percent(span["excess_per_year"]),
            _interval(span["excess_interval"], figures.signed_percent),
        )
    return table


def _strategies(span: Json) -> Table:
    columns = ("return", "Sharpe", "Sortino", "drawdown", "turnover", "exposure", "trades")
    table = terminal.grid(span["name"], *columns, right=columns)
    for name, key in STRATEGIES:
        row = span[key]
        table.add_row(
            name,
            figures.signed_percent(row["total_return"]),
            figures.number(row["sharpe"]),
            figures.number(row["sortino"]),
            figures.percent(row["max_drawdown"]),
            figures.number(row["turnover"], 1),
            figures.percent(row["exposure"], 0),
            f"{row['trades']:,}",
        )
    return table


def _stress(cases: Iterable[Json]) -> Table:
    table = terminal.grid("the same decisions", "return", "Sharpe", right=("return", "Sharpe"))
    for case in cases:
        late = case["delay_bars"]
        name = f"fills {late} bar later" if late else f"costs \N{MULTIPLICATION SIGN} {case['cost_factor']:g}"
        row = case["performance"]
        table.add_row(name, figures.signed_percent(row["total_return"]), figures.number(row["sharpe"]))
    return table


def _folds(group: Json) -> Table:
    columns = ("return", "Sharpe", "train Sharpe", "buy & hold")
    table = terminal.grid("fold", "test from", "to", *columns, right=columns)
    for row in group["finished"]:
        figures_of = (row["first_bar"][:10], row["last_bar"][:10], *_pair(row["test"]))
        holding = figures.signed_percent(row["holding"]["total_return"])
        table.add_row(
            f"{row['fold']} of {group['folds']}", *figures_of, figures.number(row["train_sharpe"]), holding
        )
    joined = group["joined"]
    if joined:
        holding = figures.signed_percent(joined["buy_and_hold"]["total_return"])
        table.add_row("all", "", "", *_pair(joined["policy"]), "", holding)
    for number in group["missing"]:
        table.add_row(f"{number} of {group['folds']}", "not evaluated yet")
    return table


def _pair(row: Json) -> tuple[str, str]:
    return figures.signed_percent(row["total_return"]), figures.number(row["sharpe"])


def _interval(interval: Json | None, write: Any) -> str:
    return figures.NOTHING if interval is None else f"{write(interval['low'])} to {write(interval['high'])}"
