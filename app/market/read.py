"""A file of bars -> a table with canonical column names, its values still as the file has them."""

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import polars as pl
from polars.exceptions import PolarsError

from app.errors import LimitExceeded
from app.market.declarations import BarFormat, BarLimits
from app.market.findings import refuse_one

ALIASES: dict[str, tuple[str, ...]] = {
    "timestamp": (
        *("timestamp", "datetime", "date_time", "time", "date", "open_time", "opentime", "gmt time"),
        *("local time", "ts", "unix", "dt", "candle_begin_time"),
    ),
    "open": ("open", "o", "open_price"),
    "high": ("high", "h", "high_price"),
    "low": ("low", "l", "low_price"),
    "close": ("close", "c", "close_price", "last"),
    "volume": ("volume", "vol", "v", "tick_volume", "tickvol"),
}
"""Names that each column is known by, first match first; compared without case, spaces or <>."""

PRICES = ("open", "high", "low", "close")
"""The four price columns."""

_SEPARATORS = (",", ";", "\t", "|")
_HEAD_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class RawTable:
    """Columns as found: `timestamp` (and perhaps `time_of_day`) untouched, numbers as Float64."""

    frame: pl.DataFrame
    has_volume: bool


def read_table(
    source: Path | BinaryIO | bytes,
    format: BarFormat | None,  # noqa: A002
    limits: BarLimits,
) -> RawTable:
    """Read CSV or Parquet (told apart by its magic number where `format` is None).

    Raises InvalidDataset (E_UNREADABLE, E_COLUMNS) and LimitExceeded for bytes, rows or columns.
    """
    data = _read_bytes(source, limits)
    form = format or ("parquet" if data[:4] == b"PAR1" else "csv")
    try:
        frame = _read_parquet(data, limits) if form == "parquet" else _read_csv(data, limits)
    except (PolarsError, pl.exceptions.PanicException, OSError, UnicodeError) as error:
        reason = str(error).split("\n", 1)[0][:200]
        raise refuse_one("E_UNREADABLE", f"the file cannot be read as {form}: {reason}") from error
    _check_limit("rows", len(frame), limits.max_rows)
    return RawTable(_to_numbers(frame), "volume" in frame.columns)


def _read_bytes(source: Path | BinaryIO | bytes, limits: BarLimits) -> bytes:
    if isinstance(source, Path):
        _check_limit("bytes", source.stat().st_size, limits.max_bytes)
        return source.read_bytes()
    data = source if isinstance(source, bytes) else source.read(limits.max_bytes + 1)
    _check_limit("bytes", len(data), limits.max_bytes)
    return data


def _check_limit(what: str, actual: int, limit: int) -> None:
    if actual > limit:
        hint = f"upload at most {limit:,} {what} at once"
        raise LimitExceeded(f"{what} of bars", limit=limit, actual=actual, hint=hint, pointer="file")


def _read_parquet(data: bytes, limits: BarLimits) -> pl.DataFrame:
    names = list(pl.read_parquet_schema(io.BytesIO(data)))
    wanted = _choose_columns(names, limits)
    rows = pl.scan_parquet(io.BytesIO(data)).select(pl.len()).collect().item()
    _check_limit("rows", rows, limits.max_rows)  # before a small file unpacks to a large table
    return pl.read_parquet(io.BytesIO(data), columns=list(wanted)).rename(wanted)


def _read_csv(data: bytes, limits: BarLimits) -> pl.DataFrame:
    head = data[:_HEAD_BYTES]
    lines = head.decode("utf-8", "replace").lstrip("\ufeff").strip().splitlines()
    if b"\0" in head or not lines:
        raise refuse_one("E_UNREADABLE", "the file is empty or holds binary data, so it is not CSV")
    first = lines[0]
    separator = max(_SEPARATORS, key=first.count)
    _check_limit("columns", first.count(separator) + 1, limits.max_columns)
    frame = pl.read_csv(data, separator=separator, infer_schema=False)
    wanted = _choose_columns(frame.columns, limits)
    return frame.select(list(wanted)).rename(wanted)


def _choose_columns(names: list[str], limits: BarLimits) -> dict[str, str]:
    _check_limit("columns", len(names), limits.max_columns)
    plain = {name: re.sub(r"\s+", " ", name.strip(" \ufeff<>\"'").lower()) for name in names}
    chosen: dict[str, str] = {}
    for column, aliases in ALIASES.items():
        found = min(
            (n for n in names if plain[n] in aliases), key=lambda n: aliases.index(plain[n]), default=""
        )
        if found:
            chosen[found] = column
    _check_twins(plain, chosen)
    by_plain = {value: name for name, value in plain.items()}
    if {"date", "time"} <= set(by_plain) and chosen.get(by_plain["time"]) == "timestamp":
        chosen |= {by_plain["date"]: "timestamp", by_plain["time"]: "time_of_day"}
    return chosen


def _check_twins(plain: dict[str, str], chosen: dict[str, str]) -> None:
    missing = [column for column in ("timestamp", *PRICES) if column not in chosen.values()]
    twins = [name for name in chosen if sum(plain[name] == other for other in plain.values()) > 1]
    if missing:
        message = f"no column for {', '.join(missing)}; found {', '.join(list(plain)[:20]) or 'none'}"
        raise refuse_one("E_COLUMNS", message)
    if twins:
        raise refuse_one("E_COLUMNS", f"several columns are called {', '.join(twins)} but for case or spaces")


def _to_numbers(frame: pl.DataFrame) -> pl.DataFrame:
    columns = [name for name in (*PRICES, "volume") if name in frame.columns]
    text = [name for name in columns if frame.schema[name] == pl.String]
    return frame.with_columns(pl.col(text).str.strip_chars()).with_columns(
        pl.col(columns).cast(pl.Float64, strict=False)
    )
