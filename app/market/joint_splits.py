"""One fold for several assets: split at shared dates, so that no asset's training knows another's future.

Assets move together. Were each split by its own rows, one asset's training could reach into the months that
another is validated on. So the validation and the test span of all assets begin at one date each, and what
training earns ends before the first bar that any asset's first later observation looks back to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from app.errors import InvalidInput
from app.market.bars import Bars
from app.market.calendars import IntArray
from app.market.findings import refuse_one
from app.market.splits import (
    EMBARGO,
    HORIZON,
    MAX_FOLDS,
    MIN_DECISIONS,
    Fold,
    Span,
    choose_fold,
    decision_ranges,
)

FIRST_TRAIN = 0.4
"""Part of all decisions before the first of several anchored folds' validation span."""


@dataclass(frozen=True, slots=True)
class _Asset:
    """One asset's allowed decisions and what they touch, in microseconds since 1970; all of one length."""

    name: str
    rows: IntArray
    utc_us: IntArray
    seen_from_us: IntArray
    """The oldest bar of each decision's window."""
    earned_until_us: IntArray
    """The bar at whose open each decision's reward ends."""


def choose_joint_fold(
    bars: Mapping[str, Bars], lookback: int, folds: int | None = None, fold: int | None = None
) -> dict[str, Fold]:
    """A fold of each asset, by its own rows but at dates that all share; `folds` and `fold` as `choose_fold`.

    The dates are those by which 60 % and 80 % of all assets' decisions have passed (K anchored folds: see
    `split_folds`). A single asset is split as `choose_fold` does. Raises InvalidDataset (E_TOO_SHORT) for an
    asset that has fewer than 20 decisions in a span, InvalidInput for a number of folds that cannot be.
    """
    if len(bars) == 1:
        return {name: choose_fold(only, lookback, folds, fold) for name, only in bars.items()}
    assets = [_describe(name, each, lookback) for name, each in bars.items()]
    pooled = np.sort(np.concatenate([asset.utc_us for asset in assets]))
    if not len(pooled):
        raise refuse_one("E_TOO_SHORT", f"none of {', '.join(bars)} allows a decision")
    edges = [int(pooled[min(round(part * len(pooled)), len(pooled) - 1)]) for part in _parts(folds, fold)]
    until = edges[2] if len(edges) > 2 else int(pooled[-1]) + 1
    gap = max(lookback + HORIZON, EMBARGO)
    return {asset.name: _split(asset, assets, (edges[0], edges[1], until), gap) for asset in assets}


def _parts(folds: int | None, fold: int | None) -> tuple[float, ...]:
    """The parts of all decisions before validation, before the test span, and before its end if that is not 1."""
    if folds is None:
        if fold is not None:
            raise InvalidInput(f"fold is {fold} of no folds", hint="give folds too", pointer="fold")
        return (0.6, 0.8)
    number = folds if fold is None else fold
    if not 1 <= folds <= MAX_FOLDS or not 1 <= number <= folds:
        hint = f"1 to {MAX_FOLDS} folds, and a fold from 1 to their number"
        raise InvalidInput(f"fold is {number} of {folds}", hint=hint, pointer="folds")
    parts = [FIRST_TRAIN + (1 - FIRST_TRAIN) * (number - 1 + k) / (folds + 1) for k in range(3)]
    return tuple(part for part in parts if part < 1 - 1e-9)


def _describe(name: str, bars: Bars, lookback: int) -> _Asset:
    ranges = decision_ranges(bars.segments, lookback=lookback)
    rows = np.concatenate(
        [np.zeros(0, dtype=np.int64), *(np.arange(a, b, dtype=np.int64) for a, b in ranges)]
    )
    stamps = bars.utc_us
    return _Asset(name, rows, stamps[rows], stamps[rows - (lookback - 1)], stamps[rows + HORIZON])


def _split(asset: _Asset, assets: list[_Asset], edges: tuple[int, int, int], gap: int) -> Fold:
    """This asset's three spans; each earlier one is cut back from the later one's start."""
    dates = (None, *edges)
    spans = []
    for name, start, stop in zip(("training", "validation", "test"), dates, dates[1:], strict=False):
        assert stop is not None
        first = 0 if start is None else int(np.searchsorted(asset.utc_us, start))
        last = int(np.searchsorted(asset.utc_us, stop))
        if name != "test":
            last = min(last - gap, int(np.searchsorted(asset.earned_until_us, _first_seen(assets, stop))))
        if last - first < MIN_DECISIONS:
            raise _too_short(asset, name, max(0, last - first), edges)
        spans.append(Span(int(asset.rows[first]), int(asset.rows[last - 1]) + 1))
    return Fold(*spans)


def _first_seen(assets: list[_Asset], date: int) -> int:
    """The oldest bar that any asset's first observation from `date` on looks back to."""
    later = [(asset, int(np.searchsorted(asset.utc_us, date))) for asset in assets]
    return min(int(asset.seen_from_us[first]) for asset, first in later if first < len(asset.rows))


def _too_short(asset: _Asset, span: str, found: int, edges: tuple[int, int, int]) -> Exception:
    shared = ", ".join(f"{_day(edge)} ({name})" for name, edge in zip(_EDGES, edges, strict=True))
    held = f"from {_day(asset.utc_us[0])} to {_day(asset.utc_us[-1])}" if len(asset.rows) else "none"
    message = (
        f"{asset.name}: its {span} span would hold {found} decisions, {MIN_DECISIONS} are needed; it allows "
        f"decisions {held}, and all datasets share the dates {shared}"
    )
    return refuse_one("E_TOO_SHORT", message)


_EDGES = ("validation", "test", "end")


def _day(utc_us: int) -> str:
    return str((datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(utc_us))).date())
