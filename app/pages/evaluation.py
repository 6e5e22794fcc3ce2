"""The report of a job as one HTML page that needs nothing but itself."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.market.job_report import JobReport
from app.market.performance import Performance
from app.pages.line_chart import NAMES, draw_chart

NOTHING = "\N{EN DASH}"

FIGURES = (
    ("total_return", "total return", "signed"),
    ("cagr", "return per year", "signed"),
    ("volatility", "volatility per year", "percent"),
    ("sharpe", "Sharpe ratio", "number"),
    ("sortino", "Sortino ratio", "number"),
    ("max_drawdown", "maximum drawdown", "percent"),
    ("calmar", "Calmar ratio", "number"),
    ("turnover", "turnover per year, in equities", "times"),
    ("cost_paid", "costs paid", "percent"),
    ("exposure", "exposure", "percent"),
    ("hit_rate", "hit rate", "percent"),
    ("trades", "trades", "count"),
)
"""Rows of the table of figures: the field, its name, how it is written."""


def render_report(report: JobReport) -> str:
    """The page. Names that users gave are escaped."""
    return _ENVIRONMENT.get_template("evaluation.html").render(
        report=report, figures=FIGURES, names=NAMES, draw_chart=draw_chart
    )


def write_figure(performance: Performance, field: str, style: str) -> str:
    """A figure of a performance as the table shows it; a dash where it is not defined."""
    value = getattr(performance, field)
    return NOTHING if value is None else _STYLES[style](value)


def signed(value: float | None) -> str:
    """A return or a difference, with its sign."""
    return NOTHING if value is None else f"{value:+.1%}"


def percent(value: float | None) -> str:
    """A share."""
    return NOTHING if value is None else f"{value:.1%}"


def number(value: float | None) -> str:
    """A ratio."""
    return NOTHING if value is None else f"{value:.2f}"


_STYLES: Mapping[str, Callable[[Any], str]] = {
    "signed": signed,
    "percent": percent,
    "number": number,
    "times": lambda value: f"{value:,.1f}",
    "count": lambda value: f"{value:,}",
}

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {"signed": signed, "percent": percent, "number": number, "figure": write_figure}
