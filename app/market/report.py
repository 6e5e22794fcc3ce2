"""A dataset's report: span, gaps, segments, jumps, volume and prices at a glance; computed once, then kept."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self

import numpy as np

from app.market.bars import Bars
from app.market.doubts import find_jumps, median_volumes
from app.market.findings import Finding
from app.market.schema import WARMUP_BARS
from app.network.shape import DOCUMENTED

MOST_LISTED = 10
"""Largest gaps and jumps that a report lists."""

MOST_SEGMENTS = 1_000
"""Segments that a report lists; the bars themselves know all."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Gap:
    """A pause that the calendar does not explain."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    last_before: str
    """Open of the last bar before the gap, ISO 8601 in UTC."""
    first_after: str
    """Open of the first bar after it."""
    seconds: int
    """Time from the one open to the other."""
    missing_bars: int
    """Bars that would fill it on an unbroken grid, closing times included."""


@dataclass(frozen=True, slots=True)
class Jump:
    """A return further from the median than 50 median absolute deviations."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    at: str
    """Open of the bar, ISO 8601 in UTC."""
    change: float
    """Close over the close before, less 1."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Where prices began, ended and went."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    first: float
    """First close."""
    last: float
    """Last close."""
    low: float
    """Lowest low."""
    high: float
    """Highest high."""
    change: float
    """Last close over the first, less 1."""


@dataclass(frozen=True, slots=True)
class Volumes:
    """What the volume column holds; medians are those of 200 bars at a time, without bars that traded nothing."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    column: str | None
    """Name of the column in the uploaded file."""
    unit: str | None
    """Unit as declared."""
    missing_rows: int
    """Bars without a volume."""
    zero_rows: int
    """Bars whose volume is 0."""
    lowest_median: float | None
    """Lowest median of 200 bars; far below the highest where the unit changes inside the file."""
    highest_median: float | None
    """Highest median of 200 bars."""


@dataclass(frozen=True, slots=True)
class OwnFeature:
    """A feature column of the user's own."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """Name by which a job asks for it."""
    sha256: str
    """Hash of its values."""
    low: float
    """Smallest value."""
    median: float
    """Median."""
    high: float
    """Largest value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetReport:
    """What is in a file of bars, and what is doubtful about it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    segments: tuple[tuple[int, int], ...]
    """Row ranges without a gap, [start, stop): no window or episode crosses from one to another; the first 1,000."""
    segment_count: int = 1
    """How many there are."""
    unused_bars: int = 0
    """Bars in segments shorter than the warm-up of 500 bars: no decision is made there."""
    gaps: tuple[Gap, ...] = ()
    """The 10 longest gaps, the longest first."""
    gap_count: int = 0
    """How many there are."""
    closings: int = 0
    """Pauses that the calendar explains: nights, weekends, holidays."""
    jumps: tuple[Jump, ...] = ()
    """The 10 largest jumps, the largest first."""
    jump_count: int = 0
    """How many there are."""
    flat_bars: int = 0
    """Bars whose high is their low."""
    prices: Prices | None = None
    """Prices; null for a dataset of an earlier release."""
    volume: Volumes | None = None
    """Volume; null where there is none."""
    has_volume: bool = True
    """Whether any bar has a volume above 0; else volume features are masked."""
    own_features: tuple[OwnFeature, ...] = ()
    """Feature columns of the user's own."""
    is_adjusted: bool = False
    """Whether prices were multiplied by Adj Close / Close, as adjusted=total asks where both columns are there."""
    dropped_twins: int = 0
    """Rows dropped because they repeated the row before in every column."""
    periods_per_year: float = 0.0
    """Bars of a trading year, by the calendar."""
    warnings: tuple[Finding, ...] = ()
    """Doubts with row numbers and what to do about them."""

    def plain(self) -> dict[str, Any]:
        """The report as plain types, as the registry keeps it."""
        segments = [list(segment) for segment in self.segments]
        warnings = [warning.plain() for warning in self.warnings]
        return {**asdict(self), "segments": segments, "warnings": warnings}

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `plain()`, of this release or an earlier one that knew less."""
        known = {item.name for item in fields(cls)}
        nested = {"gaps": Gap, "jumps": Jump, "own_features": OwnFeature}
        kept = {name: value for name, value in values.items() if name in known}
        for name, kind in nested.items():
            kept[name] = tuple(kind(**entry) for entry in kept.get(name, ()))
        for name, one in (("prices", Prices), ("volume", Volumes)):
            kept[name] = one(**kept[name]) if kept.get(name) else None
        kept["segments"] = tuple((int(start), int(stop)) for start, stop in kept.get("segments", ()))
        kept["warnings"] = tuple(Finding(**{**w, "rows": tuple(w["rows"])}) for w in kept.get("warnings", ()))
        return cls(**kept)


def describe_bars(bars: Bars) -> DatasetReport:
    """The report of validated bars."""
    starts = np.array([start for start, _ in bars.segments[1:]], dtype=np.intp)
    pauses = int((np.diff(bars.utc_us) > bars.bar_seconds * 1_000_000).sum())
    jumps = np.flatnonzero(find_jumps(bars.close, bars.segments))
    return DatasetReport(
        segments=bars.segments[:MOST_SEGMENTS],
        segment_count=len(bars.segments),
        unused_bars=sum(stop - start for start, stop in bars.segments if stop - start < WARMUP_BARS),
        gaps=_list_gaps(bars, starts),
        gap_count=len(starts),
        closings=max(0, pauses - len(starts)),
        jumps=_list_jumps(bars, jumps),
        jump_count=len(jumps),
        flat_bars=int((bars.high == bars.low).sum()),
        prices=_describe_prices(bars),
        volume=_describe_volume(bars),
        has_volume=bars.has_volume,
        own_features=_describe_own(bars),
        is_adjusted=bars.is_adjusted,
        dropped_twins=bars.dropped_twins,
        periods_per_year=bars.periods_per_year,
        warnings=bars.warnings,
    )


def moment_of(utc_us: int) -> str:
    """Microseconds since 1970 as ISO 8601 in UTC."""
    return (_EPOCH + timedelta(microseconds=int(utc_us))).isoformat().replace("+00:00", "Z")


def _list_gaps(bars: Bars, starts: np.ndarray) -> tuple[Gap, ...]:
    lengths = (bars.utc_us[starts] - bars.utc_us[starts - 1]) // 1_000_000
    longest = np.argsort(-lengths, kind="stable")[:MOST_LISTED]
    rows = [(int(starts[at]), int(lengths[at])) for at in longest]
    return tuple(
        Gap(
            moment_of(bars.utc_us[row - 1]),
            moment_of(bars.utc_us[row]),
            seconds,
            max(0, seconds // bars.bar_seconds - 1),
        )
        for row, seconds in rows
    )


def _list_jumps(bars: Bars, rows: np.ndarray) -> tuple[Jump, ...]:
    changes = bars.close[rows] / bars.close[rows - 1] - 1
    largest: Sequence[int] = np.argsort(-np.abs(np.log1p(changes)), kind="stable")[:MOST_LISTED].tolist()
    return tuple(Jump(moment_of(bars.utc_us[rows[at]]), float(changes[at])) for at in largest)


def _describe_prices(bars: Bars) -> Prices:
    first, last = float(bars.close[0]), float(bars.close[-1])
    return Prices(first, last, float(bars.low.min()), float(bars.high.max()), last / first - 1)


def _describe_volume(bars: Bars) -> Volumes | None:
    if not bars.has_volume:
        return None
    medians = median_volumes(bars.volume)
    medians = medians[~np.isnan(medians)]
    ends = (float(medians.min()), float(medians.max())) if len(medians) else (None, None)
    missing, zero = int(np.isnan(bars.volume).sum()), int((bars.volume == 0).sum())
    return Volumes(bars.volume_name, bars.declarations.volume_unit, missing, zero, *ends)


def _describe_own(bars: Bars) -> tuple[OwnFeature, ...]:
    hashes = bars.own_feature_hashes
    described = []
    for name, values in bars.own_features.items():
        known = values[~np.isnan(values)]
        low, median, high = (float(x) for x in np.percentile(known if len(known) else [0.0], (0, 50, 100)))
        described.append(OwnFeature(name, hashes[name], low, median, high))
    return tuple(described)
