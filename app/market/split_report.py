"""How a dataset would be split, with dates: the folds that a job on it alone would train and be judged on."""

from dataclasses import dataclass
from typing import Any, ClassVar

from app.market.bars import Bars
from app.market.report import moment_of
from app.market.splits import Fold, Span, decision_ranges, split_fold, split_folds
from app.network.shape import DOCUMENTED


@dataclass(frozen=True, slots=True)
class DatedSpan:
    """Decisions of one span, and when they are made."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """`train`, `validation` or `test`."""
    start: int
    """First row."""
    stop: int
    """Row after the last."""
    first_bar: str
    """Open of the first decision's bar, ISO 8601 in UTC."""
    last_bar: str
    """Open of the last decision's bar, ISO 8601 in UTC."""
    decisions: int
    """Decisions in it, those that gaps forbid left out."""


@dataclass(frozen=True, slots=True)
class DatedFold:
    """Three spans in the order of time."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    number: int
    """Folds count from 1."""
    spans: tuple[DatedSpan, ...]
    """Training, validation, test."""


@dataclass(frozen=True, slots=True)
class SplitReport:
    """The folds of a dataset for windows of one length."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    lookback: int
    """Closed bars that an observation shows."""
    decisions: int
    """Bars at which a decision can be made: warmed up, with a whole window and a whole reward."""
    folds: tuple[DatedFold, ...]
    """One split of 60/20/20, or the walk-forward folds that were asked for."""


def report_splits(bars: Bars, lookback: int = 100, folds: int | None = None) -> SplitReport:
    """The splits as `splits.choose_fold` makes them; raises as `split_fold` and `split_folds` do."""
    made = (split_fold(bars, lookback),) if folds is None else split_folds(bars, folds, lookback)
    return SplitReport(
        lookback,
        _count(bars, lookback),
        tuple(_date_fold(bars, lookback, number, fold) for number, fold in enumerate(made, start=1)),
    )


def _date_fold(bars: Bars, lookback: int, number: int, fold: Fold) -> DatedFold:
    spans = fold.spans().items()
    return DatedFold(number, tuple(_date_span(bars, lookback, name, span) for name, span in spans))


def _date_span(bars: Bars, lookback: int, name: str, span: Span) -> DatedSpan:
    first, last = (moment_of(int(bars.utc_us[row])) for row in (span.start, span.stop - 1))
    return DatedSpan(name, span.start, span.stop, first, last, _count(bars, lookback, span))


def _count(bars: Bars, lookback: int, span: Span | None = None) -> int:
    return sum(stop - start for start, stop in decision_ranges(bars.segments, span, lookback))
