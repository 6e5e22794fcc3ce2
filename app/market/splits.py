"""Time-ordered folds: training before validation before test, with a gap between them.

A *decision* at row t sees bars t-lookback+1 … t, fills at open[t+1] and is rewarded up to open[t+2]
(HORIZON = 2). Between two spans max(lookback + HORIZON, embargo) decisions are left out. Training rewards
then end before the first bar of the first later observation, though that observation looks back before its
own span, as it would live. Training never follows a test span here, so one gap serves as purge (López de
Prado 2018, ch. 7: labels that overlap) and as embargo (serial correlation) at once.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from app.errors import InvalidInput
from app.market.bars import Bars
from app.market.calendars import IntArray
from app.market.checks import Segments
from app.market.findings import refuse_one
from app.market.schema import WARMUP_BARS
from app.network.shape import DOCUMENTED

HORIZON = 2
"""Bars after a decision that its reward depends on."""

EMBARGO = 100
"""Fewest bars between two spans."""

MAX_FOLDS = 20
"""Most walk-forward folds; each is a training run of its own."""

MIN_DECISIONS = 20
"""Fewest decisions in a span."""


@dataclass(frozen=True, slots=True)
class Span:
    """Decisions at rows start..stop-1 of the bars (those that a segment's warm-up and end allow)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    start: int
    """First row."""
    stop: int
    """Row after the last."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Three spans in the order of time."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    train: Span
    """What is learned from; scalers are fitted here only."""
    validation: Span
    """What choices are made on."""
    test: Span
    """What is looked at once."""

    def spans(self) -> dict[str, Span]:
        """The spans by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def decision_ranges(segments: Segments, span: Span | None = None, lookback: int = 100) -> Segments:
    """Row ranges [(start, stop), …] of allowed decisions, one per segment that has any.

    A segment's first decision has a whole window of warmed-up rows, its last one a whole reward.
    """
    low, high = (span.start, span.stop) if span else (0, max(stop for _, stop in segments))
    ranges = [
        (max(start + WARMUP_BARS + lookback - 2, low), min(stop - HORIZON, high)) for start, stop in segments
    ]
    return tuple((start, stop) for start, stop in ranges if start < stop)


def window_ranges(segments: Segments, span: Span, lookback: int = 100) -> Segments:
    """Row ranges that training's windows may end with: a range's last decision is followed by one more row."""
    return tuple((start, stop + 1) for start, stop in decision_ranges(segments, span, lookback))


def split_fold(
    bars: Bars,
    lookback: int = 100,
    *,
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2),
    embargo: int = EMBARGO,
) -> Fold:
    """One fold of train, validation and test, by default 60/20/20 of the decisions.

    Raises InvalidDataset (E_TOO_SHORT) if a span would hold fewer than 20 decisions, InvalidInput for
    fractions that are no parts of 1 or an embargo below 100 bars.
    """
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        hint = "three parts above 0 that sum to 1, such as 0.6, 0.2, 0.2"
        raise InvalidInput(f"fractions are {fractions}", hint=hint, pointer="fractions")
    rows, gap = _decisions(bars, lookback), _gap(lookback, embargo)
    useful = max(0, len(rows) - 2 * gap)
    first, second = round(useful * fractions[0]), round(useful * (fractions[0] + fractions[1]))
    train, validation = rows[:first], rows[first + gap : second + gap]
    return _fold(train, validation, rows[second + 2 * gap :])


def split_folds(
    bars: Bars, count: int, lookback: int = 100, *, first_train: float = 0.4, embargo: int = EMBARGO
) -> tuple[Fold, ...]:
    """`count` anchored folds: training always starts at the first decision and grows by a block a fold.

    What follows the first `first_train` of the decisions is cut into count + 1 blocks; fold k validates
    on block k and tests on block k + 1. The gaps are taken from the ends of training and validation, so
    that the test spans lie side by side and join to one. Raises as `split_fold` does.
    """
    if not 1 <= count <= MAX_FOLDS or not 0 < first_train < 1:
        hint = f"1 to {MAX_FOLDS} folds, first_train between 0 and 1"
        raise InvalidInput(f"{count} folds, first_train {first_train}", hint=hint, pointer="folds")
    rows, gap = _decisions(bars, lookback), _gap(lookback, embargo)
    edges = [round(len(rows) * (first_train + (1 - first_train) * k / (count + 1))) for k in range(count + 2)]
    return tuple(
        _fold(
            rows[: max(0, edges[k] - gap)],
            rows[edges[k] : max(edges[k], edges[k + 1] - gap)],
            rows[edges[k + 1] : edges[k + 2]],
        )
        for k in range(count)
    )


def choose_fold(bars: Bars, lookback: int, folds: int | None = None, fold: int | None = None) -> Fold:
    """The fold that a run is for: 60/20/20, or number `fold` (from 1; the last unless given) of `folds`.

    Raises InvalidInput for a number that there is not, else as `split_folds` does.
    """
    if folds is None:
        if fold is not None:
            raise InvalidInput(f"fold is {fold} of no folds", hint="give folds too", pointer="fold")
        return split_fold(bars, lookback)
    made = split_folds(bars, folds, lookback)
    number = folds if fold is None else fold
    if not 1 <= number <= folds:
        raise InvalidInput(f"fold is {number} of {folds}", hint=f"1 to {folds}", pointer="fold")
    return made[number - 1]


def _decisions(bars: Bars, lookback: int) -> IntArray:
    ranges = decision_ranges(bars.segments, lookback=lookback)
    rows = [np.arange(start, stop, dtype=np.int64) for start, stop in ranges]
    return np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)


def _gap(lookback: int, embargo: int) -> int:
    if embargo < EMBARGO:
        raise InvalidInput(f"embargo is {embargo}", hint=f"{EMBARGO} bars or more", pointer="embargo")
    return max(lookback + HORIZON, embargo)


def _fold(train: IntArray, validation: IntArray, test: IntArray) -> Fold:
    return Fold(_span("training", train), _span("validation", validation), _span("test", test))


def _span(name: str, rows: IntArray) -> Span:
    if len(rows) < MIN_DECISIONS:
        message = f"the {name} span would hold {len(rows)} decisions, {MIN_DECISIONS} are needed"
        raise refuse_one("E_TOO_SHORT", message)
    return Span(int(rows[0]), int(rows[-1]) + 1)
