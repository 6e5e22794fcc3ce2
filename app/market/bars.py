"""Bars: the OHLCV data contract. Read, validate, canonicalise, split at gaps, write, load."""

import hashlib
import io
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from app.market.calendars import DAY, IntArray, find_gaps
from app.market.checks import (
    Columns,
    FloatArray,
    Segments,
    check_grid,
    check_order,
    check_own_features,
    check_prices,
    drop_twins,
    infer_bar_seconds,
)
from app.market.declarations import DEFAULT_LIMITS, BarFormat, BarLimits, Declarations
from app.market.doubts import note_doubts
from app.market.findings import Finding, Findings, refuse_one
from app.market.read import FEATURE, RawTable, read_bytes, read_table
from app.market.timestamps import parse_timestamps, to_local, to_session_time

__all__ = ["BarLimits", "Bars", "Declarations", "Finding", "Segments", "load_bars", "read_bars"]

_FORMAT = "caliper-bars-1"
_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
_OF_THE_FILE = ("columns", "decimal_mark", "volume_column", "feature_columns")
"""Declarations that say how to read a file; where unset they are no part of the canonical header."""


@dataclass(frozen=True)
class Bars:
    """Validated bars of one symbol: arrays of one length T, sorted by time, split at gaps.

    Prices are float64 and positive; volume is float64, NaN where a row had none.
    """

    utc_us: IntArray
    """Bar opens in microseconds since 1970, UTC."""
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    declarations: Declarations
    """As declared, with the bar length filled in and `label` and `reverse` applied."""
    segments: Segments
    """Row ranges without a gap, [(start, stop), …]."""
    warnings: tuple[Finding, ...] = ()
    """Doubts that did not refuse the file."""
    dropped_twins: int = 0
    """Rows dropped because they repeated the row before in every column."""
    own_features: Mapping[str, FloatArray] = field(default_factory=dict)
    """The user's own feature columns by name; NaN at most within the warm-up of a segment."""
    volume_name: str | None = None
    """Name of the volume column in the uploaded file."""
    is_adjusted: bool = False
    """Whether reading multiplied prices by Adj Close / Close."""

    def __len__(self) -> int:
        return len(self.utc_us)

    @property
    def bar_seconds(self) -> int:
        """Length of a bar."""
        return self.declarations.bar_seconds or DAY

    @property
    def has_volume(self) -> bool:
        """Whether any bar has a volume above 0."""
        return bool((self.volume > 0).any())

    @property
    def local_us(self) -> IntArray:
        """Bar opens as wall-clock microseconds of the declared time zone."""
        return to_session_time(self.utc_us, self.declarations.local_timezone, self.bar_seconds)

    @property
    def periods_per_year(self) -> float:
        """Bars of a trading year, for annualised figures."""
        return self.declarations.known_calendar.periods_per_year(self.bar_seconds)

    @cached_property
    def sha256(self) -> str:
        """The dataset's version: a digest of the declarations that matter and of all values.

        It does not depend on the Parquet writer: little-endian int64 and float64 arrays are hashed.
        """
        digest = hashlib.sha256(f"{_FORMAT}\n{self._header()}\n".encode())
        digest.update(np.ascontiguousarray(self.utc_us, dtype="<i8").data)
        for values in (self.open, self.high, self.low, self.close, self.volume, *self.own_features.values()):
            digest.update(_canonical_floats(values))
        return digest.hexdigest()

    @property
    def own_feature_hashes(self) -> dict[str, str]:
        """A digest of the values of each of the user's own feature columns."""
        columns = self.own_features.items()
        return {name: hashlib.sha256(_canonical_floats(values)).hexdigest() for name, values in columns}

    def frame(self) -> pl.DataFrame:
        """The canonical table: timestamp (µs, UTC), open, high, low, close, volume, own features.

        Volume and own features are null where they are missing.
        """
        prices = {name: getattr(self, name) for name in ("open", "high", "low", "close")}
        columns = {"timestamp": self.utc_us, **prices, "volume": self.volume, **self.own_features}
        stamp = pl.col("timestamp").cast(pl.Datetime("us", "UTC"))
        return pl.DataFrame(columns).with_columns(stamp, pl.col("volume", *self.own_features).fill_nan(None))

    def canonical_bytes(self) -> bytes:
        """The canonical Parquet file, which `load_bars` reads."""
        buffer = io.BytesIO()
        self.frame().write_parquet(
            buffer, compression="zstd", compression_level=3, metadata={_FORMAT: self._header()}
        )
        return buffer.getvalue()

    def write(self, path: Path) -> None:
        """Write the canonical Parquet file."""
        path.write_bytes(self.canonical_bytes())

    def _header(self) -> str:
        plain = self.declarations.plain()
        kept = {name: value for name, value in plain.items() if value or name not in _OF_THE_FILE}
        return json.dumps(kept, sort_keys=True)


def read_bars(
    source: Path | BinaryIO | bytes,
    declarations: Declarations,
    *,
    format: BarFormat | None = None,  # noqa: A002
    limits: BarLimits = DEFAULT_LIMITS,
) -> Bars:
    """Read and validate a CSV or Parquet file of bars.

    Raises InvalidDataset with every E_ finding at once (`findings` of the problem), LimitExceeded for a
    file past `limits`.
    """
    table = read_table(source, format, declarations, limits)
    if not len(table.frame):
        raise refuse_one("E_TOO_SHORT", "the file has no rows")
    bars = _validate(table, declarations, limits)
    known = replace(
        bars.declarations,
        timezone=declarations.local_timezone,
        calendar=declarations.known_calendar.name,
        columns=None,
        decimal_mark=None,
        volume_column=None,
    )
    return replace(bars, declarations=known)


def load_bars(source: Path | BinaryIO | bytes) -> Bars:
    """Load a file that `Bars.write` wrote, validated again; raises InvalidDataset for any other file."""
    limits = BarLimits(max_rows=2**62, max_bytes=2**62, min_rows=1)  # these held when it was accepted
    data = read_bytes(source, limits)
    try:
        header = pl.read_parquet_metadata(io.BytesIO(data)).get(_FORMAT)
        if header is None:
            raise refuse_one("E_UNREADABLE", f"the Parquet file lacks the {_FORMAT} header")
        declarations = Declarations.from_plain(json.loads(header))
        frame = pl.read_parquet(io.BytesIO(data), columns=[*_COLUMNS, *declarations.feature_names])
        numbers = frame.with_columns(pl.exclude("timestamp").cast(pl.Float64))
    except (TypeError, ValueError) as error:
        raise refuse_one("E_UNREADABLE", f"the {_FORMAT} header is damaged: {error}") from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise refuse_one("E_UNREADABLE", "the file is no canonical Parquet file of bars") from error
    places = {name: FEATURE.format(n) for n, name in enumerate(declarations.feature_names)}
    return _validate(RawTable(numbers.rename(places), volume_name="volume"), declarations, limits)


def _validate(table: RawTable, declarations: Declarations, limits: BarLimits) -> Bars:
    findings = Findings()
    columns = _to_columns(table, declarations, findings)
    if declarations.reverse:
        columns = columns.take(slice(None, None, -1))
    check_prices(columns, findings)
    check_order(columns, findings)
    kept, dropped = columns, 0
    if not (np.diff(columns.utc_us) > 0).all():
        in_time = columns.take(np.argsort(columns.utc_us, kind="stable"))
        kept, dropped = drop_twins(in_time, findings)
    length = declarations.bar_seconds or infer_bar_seconds(kept.utc_us)
    if length is None:
        findings.raise_errors()
        raise refuse_one("E_TOO_SHORT", f"{len(kept.rows)} row(s) do not show the length of a bar")
    check_grid(kept, length, declarations.local_timezone, findings)
    findings.raise_errors()
    known = replace(declarations, bar_seconds=length, label="open", reverse=False, date_order=None)
    kept = replace(kept, utc_us=_to_open(kept.utc_us, declarations, length))
    bars = _assemble(kept, known, limits)
    return replace(bars, dropped_twins=dropped, volume_name=table.volume_name, is_adjusted=table.is_adjusted)


def _canonical_floats(values: FloatArray) -> memoryview:
    one_nan = np.where(np.isnan(values), np.nan, values)  # one bit pattern for every NaN
    return np.ascontiguousarray(one_nan, dtype="<f8").data


def _to_columns(table: RawTable, declarations: Declarations, findings: Findings) -> Columns:
    frame = table.frame
    utc_us = parse_timestamps(frame, declarations, findings, table.zone)
    prices = {name: frame[name].fill_null(np.nan).to_numpy() for name in ("open", "high", "low", "close")}
    volume = frame["volume"].fill_null(np.nan).to_numpy() if "volume" in frame.columns else None
    if volume is None:
        volume = np.full(len(frame), np.nan)
    rows = np.arange(1, len(frame) + 1)
    own = {
        name: frame[FEATURE.format(n)].fill_null(np.nan).to_numpy()
        for n, name in enumerate(declarations.feature_names)
    }
    stamps = rows if utc_us is None else utc_us
    columns = Columns(rows=rows, utc_us=stamps, volume=volume + 0.0, own=own, **prices)
    if utc_us is None:
        check_prices(columns, findings)
        findings.raise_errors()
    return columns


def _to_open(utc_us: IntArray, declarations: Declarations, bar_seconds: int) -> IntArray:
    if declarations.label == "open":
        return utc_us
    if bar_seconds < DAY:
        return utc_us - bar_seconds * 1_000_000
    zone = declarations.local_timezone  # a day before in local time may be 23 or 25 hours before
    local = to_local(utc_us, zone) - bar_seconds * 1_000_000
    stamps = pl.Series(local).cast(pl.Datetime("us"))
    aware = stamps.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return aware.cast(pl.Int64).fill_null(pl.Series(utc_us - bar_seconds * 1_000_000)).to_numpy()


def _assemble(columns: Columns, declarations: Declarations, limits: BarLimits) -> Bars:
    bar_seconds = declarations.bar_seconds or DAY
    local_us = to_session_time(columns.utc_us, declarations.local_timezone, bar_seconds)
    stamps = local_us if bar_seconds >= DAY else columns.utc_us
    gaps = find_gaps(stamps, bar_seconds, declarations.known_calendar, local_us)
    edges = [0, *(int(row) for row in np.flatnonzero(gaps)), len(gaps)]
    segments = tuple(itertools.pairwise(edges))
    longest = max(stop - start for start, stop in segments)
    findings = Findings()
    if longest < limits.min_rows:
        message = (
            f"the longest of {len(segments)} segment(s) has {longest:,} bars, {limits.min_rows:,} are needed"
        )
        findings.add("E_TOO_SHORT", message, count=1)
    check_own_features(columns, segments, findings)
    findings.raise_errors()
    note_doubts(columns, segments, findings)
    prices = {name: getattr(columns, name) for name in ("open", "high", "low", "close", "volume")}
    return Bars(
        columns.utc_us,
        **prices,
        declarations=declarations,
        segments=segments,
        warnings=findings.warnings,
        own_features=columns.own,
    )
