"""A file of bars -> a table with canonical column names, its timestamps still as the file has them."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import polars as pl
from polars.exceptions import PolarsError

from app.errors import LimitExceeded
from app.market.column_names import PRICES, ColumnChoice, choose_columns
from app.market.csv_layout import CsvLayout, read_layout
from app.market.declarations import BarFormat, BarLimits, Declarations
from app.market.findings import refuse_one
from app.market.numbers import to_floats
from app.market.unpack import unpack

FEATURE = "feature:{}"
"""Name of a declared feature column in a RawTable, by its place."""

_READ_ERRORS = (PolarsError, pl.exceptions.PanicException, OSError, UnicodeError)


@dataclass(frozen=True, slots=True)
class RawTable:
    """Columns as found: `timestamp` (and perhaps `time_of_day`) untouched, numbers as Float64."""

    frame: pl.DataFrame
    zone: str | None = None
    """Time zone that the name of the timestamp column states."""
    volume_name: str | None = None
    """Name of the volume column in the file; None where there is none."""
    is_adjusted: bool = False
    """Whether prices were multiplied by Adj Close / Close."""


def read_table(
    source: Path | BinaryIO | bytes,
    format: BarFormat | None,  # noqa: A002
    declarations: Declarations,
    limits: BarLimits,
) -> RawTable:
    """Read CSV or Parquet (told apart by its magic number where `format` is None), packed or not.

    Raises InvalidDataset (E_UNREADABLE, E_COLUMNS, E_SYMBOLS, E_NUMBER_AMBIGUOUS) and LimitExceeded for
    bytes, rows or columns.
    """
    data = unpack(read_bytes(source, limits), limits.max_bytes)
    form = format or ("parquet" if data[:4] == b"PAR1" else "csv")
    try:
        read = _read_parquet if form == "parquet" else _read_csv
        frame, choice = read(data, declarations, limits)
    except _READ_ERRORS as error:
        reason = str(error).split("\n", 1)[0][:200]
        raise refuse_one("E_UNREADABLE", f"the file cannot be read as {form}: {reason}") from error
    check_limit("rows", len(frame), limits.max_rows)
    return _to_table(frame, choice, declarations)


def read_bytes(source: Path | BinaryIO | bytes, limits: BarLimits) -> bytes:
    """The file's bytes; raises LimitExceeded before more than the limit is read."""
    if isinstance(source, Path):
        check_limit("bytes", source.stat().st_size, limits.max_bytes)
        return source.read_bytes()
    data = source if isinstance(source, bytes) else source.read(limits.max_bytes + 1)
    check_limit("bytes", len(data), limits.max_bytes)
    return data


def check_limit(what: str, actual: int, limit: int) -> None:
    """Raise LimitExceeded where `actual` passes `limit`."""
    if actual > limit:
        hint = f"upload at most {limit:,} {what} at once"
        raise LimitExceeded(f"{what} of bars", limit=limit, actual=actual, hint=hint, pointer="file")


def _read_parquet(
    data: bytes, declarations: Declarations, limits: BarLimits
) -> tuple[pl.DataFrame, ColumnChoice]:
    names = list(pl.read_parquet_schema(io.BytesIO(data)))
    check_limit("columns", len(names), limits.max_columns)
    scan = pl.scan_parquet(io.BytesIO(data))
    check_limit("rows", scan.select(pl.len()).collect().item(), limits.max_rows)  # before it unpacks
    first = scan.head(1).collect()
    example = [str(cell) for cell in first.row(0)] if len(first) else []
    choice = choose_columns(names, example, declarations)
    wanted = {names[at]: at for at in _positions(choice)}
    frame = pl.read_parquet(io.BytesIO(data), columns=list(wanted))
    return _rename(frame, [wanted[name] for name in frame.columns], choice), choice


def _read_csv(
    data: bytes, declarations: Declarations, limits: BarLimits
) -> tuple[pl.DataFrame, ColumnChoice]:
    layout = read_layout(data, declarations.column_names)
    check_limit("columns", len(layout.names), limits.max_columns)
    choice = choose_columns(layout.names, layout.example, declarations)
    if not layout.example:
        raise refuse_one("E_TOO_SHORT", "the file has no rows")
    frame = _read_rows(data, layout, set() if declarations.decimal_mark == "," else _numeric(choice))
    positions = _positions(choice)
    return _rename(frame.select(str(at) for at in positions), positions, choice), choice


def _read_rows(data: bytes, layout: CsvLayout, numeric: set[int]) -> pl.DataFrame:
    """The rows, columns named by position; plain numbers are parsed at once, all is text where some are not."""
    types = {str(at): pl.Float64 if at in numeric else pl.String for at in range(len(layout.names))}
    try:
        return pl.read_csv(
            data[layout.first_row :],
            separator=layout.separator,
            has_header=False,
            schema=types,
            comment_prefix="#" if layout.has_comments else None,
            encoding="utf8" if data.isascii() else "utf8-lossy",
        )
    except PolarsError:
        if not numeric:
            raise
    return _read_rows(data, layout, set())


def _numeric(choice: ColumnChoice) -> set[int]:
    text = {choice.at[role] for role in ("timestamp", "time_of_day", "symbol") if role in choice.at}
    return set(_positions(choice)) - text


def _positions(choice: ColumnChoice) -> list[int]:
    return sorted({*choice.at.values(), *choice.features})


def _rename(frame: pl.DataFrame, positions: Iterable[int], choice: ColumnChoice) -> pl.DataFrame:
    """Columns by their canonical names; one that serves twice (a feature that is the volume too) is copied."""
    by_position = dict(zip(positions, frame.get_columns(), strict=True))
    columns = {role: by_position[at] for role, at in choice.at.items()}
    columns |= {FEATURE.format(n): by_position[at] for n, at in enumerate(choice.features)}
    return pl.DataFrame([column.alias(name) for name, column in columns.items()])


def _to_table(frame: pl.DataFrame, choice: ColumnChoice, declarations: Declarations) -> RawTable:
    if "symbol" in frame.columns:
        _check_symbols(frame["symbol"])
    numbers = [*PRICES, "volume", "tick_volume", "adjusted_close"]
    wanted = [n for n in frame.columns if n in numbers or n.startswith(FEATURE.format(""))]
    frame = to_floats(frame, wanted, declarations.decimal_mark)
    volume_name = choice.volume_name
    if "tick_volume" in frame.columns and declarations.volume_column is None:
        traded = "volume" in frame.columns and frame.select((pl.col("volume") > 0).any()).item()
        if not traded:  # MetaTrader writes both, the real volume of currencies as 0
            frame = frame.with_columns(pl.col("tick_volume").alias("volume"))
            volume_name = "tick volume"
    adjusts = declarations.adjusted == "total" and "adjusted_close" in frame.columns
    if adjusts:
        factor = pl.col("adjusted_close") / pl.col("close")
        frame = frame.with_columns(pl.col(*PRICES) * factor)
    kept = [n for n in frame.columns if n not in {"symbol", "tick_volume", "adjusted_close"}]
    return RawTable(frame.select(kept), choice.zone, volume_name, adjusts)


def _check_symbols(symbols: pl.Series) -> None:
    found = symbols.drop_nulls().unique().sort()
    if len(found) > 1:
        listed = ", ".join(str(name)[:20] for name in found[:5])
        raise refuse_one("E_SYMBOLS", f"the file holds {len(found):,} symbols ({listed}, …), one is wanted")
