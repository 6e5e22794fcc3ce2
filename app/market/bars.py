"""Bars: the OHLCV data contract. Read, validate, canonicalise, split at gaps, write, load."""

import hashlib
import io
import itertools
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from app.market.calendars import DAY, IntArray, find_gaps
from app.market.checks import (
    Columns,
    FloatArray,
    check_grid,
    check_order,
    check_prices,
    drop_twins,
    infer_bar_seconds,
)
from app.market.declarations import DEFAULT_LIMITS, BarFormat, BarLimits, Declarations
from app.market.doubts import Segments, note_doubts
from app.market.findings import Finding, Findings, refuse_one
from app.market.read import RawTable, read_table
from app.market.timestamps import parse_timestamps, to_local, to_session_time

__all__ = ["BarLimits", "Bars", "Declarations", "Finding", "Segments", "load_bars", "read_bars"]

_FORMAT = "caliper-bars-1"


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
        volume = np.where(np.isnan(self.volume), np.nan, self.volume)  # one bit pattern for every NaN
        digest.update(np.ascontiguousarray(self.utc_us, dtype="<i8").tobytes())
        for values in (self.open, self.high, self.low, self.close, volume):
            digest.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
        return digest.hexdigest()

    def frame(self) -> pl.DataFrame:
        """The canonical table: timestamp (µs, UTC), open, high, low, close, volume (null where missing)."""
        prices = {name: getattr(self, name) for name in ("open", "high", "low", "close")}
        columns = {"timestamp": self.utc_us, **prices, "volume": self.volume}
        stamp = pl.col("timestamp").cast(pl.Datetime("us", "UTC"))
        return pl.DataFrame(columns).with_columns(stamp, pl.col("volume").fill_nan(None))

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
        return json.dumps(self.declarations.plain(), sort_keys=True)


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
    findings = Findings()
    table = read_table(source, format, limits)
    if not len(table.frame):
        raise refuse_one("E_TOO_SHORT", "the file has no rows")
    columns = _to_columns(table, declarations, findings)
    if declarations.reverse:
        columns = columns.take(slice(None, None, -1))
    check_prices(columns, findings)
    check_order(columns, findings)
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
    return _assemble(kept, known, dropped, limits, has_volume=table.has_volume)


def load_bars(source: Path | BinaryIO | bytes) -> Bars:
    """Load a file that `Bars.write` wrote, validated again; raises InvalidDataset for any other file."""
    data = source.read_bytes() if isinstance(source, Path) else source
    data = data if isinstance(data, bytes) else data.read()
    try:
        header = pl.read_parquet_metadata(io.BytesIO(data)).get(_FORMAT)
    except pl.exceptions.PolarsError as error:
        raise refuse_one("E_UNREADABLE", "the file is no canonical Parquet file of bars") from error
    if header is None:
        raise refuse_one("E_UNREADABLE", f"the Parquet file lacks the {_FORMAT} header")
    limits = BarLimits(max_rows=2**62, max_bytes=2**62, min_rows=1)  # these held when it was accepted
    try:
        declarations = Declarations.from_plain(json.loads(header))
    except (TypeError, ValueError) as error:
        raise refuse_one("E_UNREADABLE", f"the {_FORMAT} header is damaged: {error}") from error
    return read_bars(data, declarations, format="parquet", limits=limits)


def _to_columns(table: RawTable, declarations: Declarations, findings: Findings) -> Columns:
    frame = table.frame
    utc_us = parse_timestamps(frame, declarations, findings)
    arrays = {name: frame[name].fill_null(np.nan).to_numpy() for name in ("open", "high", "low", "close")}
    missing = np.full(len(frame), np.nan)
    volume = frame["volume"].fill_null(np.nan).to_numpy() if table.has_volume else missing
    rows = np.arange(1, len(frame) + 1)
    columns = Columns(rows=rows, utc_us=rows if utc_us is None else utc_us, volume=volume + 0.0, **arrays)
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


def _assemble(
    columns: Columns, declarations: Declarations, dropped: int, limits: BarLimits, *, has_volume: bool
) -> Bars:
    bar_seconds = declarations.bar_seconds or DAY
    local_us = to_session_time(columns.utc_us, declarations.local_timezone, bar_seconds)
    stamps = local_us if bar_seconds >= DAY else columns.utc_us
    gaps = find_gaps(stamps, bar_seconds, declarations.known_calendar, local_us)
    edges = [0, *(int(row) for row in np.flatnonzero(gaps)), len(gaps)]
    segments = tuple(itertools.pairwise(edges))
    longest = max(stop - start for start, stop in segments)
    if longest < limits.min_rows:
        message = (
            f"the longest of {len(segments)} segment(s) has {longest:,} bars, {limits.min_rows:,} are needed"
        )
        raise refuse_one("E_TOO_SHORT", message)
    findings = Findings()
    note_doubts(columns, segments, has_volume=has_volume, findings=findings)
    prices = {name: getattr(columns, name) for name in ("open", "high", "low", "close", "volume")}
    return Bars(
        columns.utc_us,
        **prices,
        declarations=declarations,
        segments=segments,
        warnings=findings.warnings,
        dropped_twins=dropped,
    )
