"""Numbers as text -> floats: decimal commas, thousands separators, currency signs, K/M/B endings."""

import polars as pl

from app.market.declarations import DecimalMark
from app.market.findings import refuse_one

_DUST = r"[\s'\u2019\u00a0\u202f$€£¥₿]"
_DECIMAL_COMMA = (
    r"^[-+]?(?:(?:\d+|\d{1,3}(?:\.\d{3})+),(?:\d{1,2}|\d{4,})|0+,\d+|\d{4,},\d+|\d{1,3}(?:\.\d{3})+,\d+)$"
)
_DECIMAL_POINT = (
    r"^[-+]?(?:(?:\d+|\d{1,3}(?:,\d{2,3})+)\.(?:\d{1,2}|\d{4,})|0+\.\d+|\d{4,}\.\d+"
    r"|\d{1,3}(?:,\d{2,3})+\.\d+|\d{1,3}(?:,\d{2,3}){2,})$"
)
_GROUPED = {
    ".": r"^[-+]?(?:\d+|\d{1,3}(?:,\d{2,3})+)(?:\.\d*)?(?:e[-+]?\d+)?$",
    ",": r"^[-+]?(?:\d+|\d{1,3}(?:\.\d{3})+)(?:,\d*)?(?:e[-+]?\d+)?$",
}
_SAMPLE = 1_000
_ENDINGS = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}


def to_floats(frame: pl.DataFrame, columns: list[str], declared: DecimalMark | None) -> pl.DataFrame:
    """The frame with these columns as Float64; what is no number becomes null.

    Plain numbers are cast; only where a cell is none are its spelling and the file's decimal mark looked
    into. Raises InvalidDataset (E_NUMBER_AMBIGUOUS) where 1,234 may mean either and nothing is declared.
    """
    text = [name for name in columns if frame.schema[name] == pl.String]
    numbers = frame.with_columns(pl.col(columns).cast(pl.Float64, strict=False))
    odd = [name for name in text if numbers[name].null_count() > frame[name].null_count()]
    if not odd and declared != ",":
        return numbers
    simple = _parse_simple_commas(frame, text) if declared != "." else None
    if simple is not None:
        return numbers.with_columns(simple)
    plain = frame.select(_without_dust(name) for name in text)
    mark = declared or _find_mark(plain, odd)
    again = text if mark == "," else odd  # 1.234 is no fraction where the comma is the decimal mark
    return numbers.with_columns(_parse(plain[name], mark).alias(name) for name in again)


def _parse_simple_commas(frame: pl.DataFrame, text: list[str]) -> pl.DataFrame | None:
    """The common form of decimal commas, fast: at most one comma a cell, no point, one cell that proves it."""
    cells = frame.select(text)
    has_point = pl.all().str.contains(".", literal=True).any()
    proof = pl.all().head(_SAMPLE).str.contains(_DECIMAL_COMMA).any()
    seen = cells.select(has_point.name.suffix(":point"), proof.name.suffix(":proof")).row(0, named=True)
    if any(seen[f"{name}:point"] for name in text) or not any(seen[f"{name}:proof"] for name in text):
        return None
    numbers = cells.select(pl.all().str.replace(",", ".", literal=True).cast(pl.Float64, strict=False))
    return numbers if numbers.null_count().row(0) == cells.null_count().row(0) else None


def _without_dust(name: str) -> pl.Expr:
    return pl.col(name).str.to_lowercase().str.replace_all(_DUST, "")


def _find_mark(plain: pl.DataFrame, odd: list[str]) -> DecimalMark:
    commas = next((c for c in (_first(plain[name], r"^[-+]?\d.*,\d") for name in odd) if c), None)
    if commas is None:
        return "."
    comma, point = (
        next((cell for cell in (_first(plain[name], pattern) for name in plain.columns) if cell), None)
        for pattern in (_DECIMAL_COMMA, _DECIMAL_POINT)
    )
    if comma and not point:
        return ","
    if point and not comma:
        return "."
    said = (
        f"{comma} and {point} contradict each other"
        if comma
        else f"{commas} may mean a fraction or thousands"
    )
    raise refuse_one("E_NUMBER_AMBIGUOUS", f"numbers such as {said}")


def _first(column: pl.Series, pattern: str) -> str | None:
    found = column.filter(_bare(column).str.contains(pattern).fill_null(value=False))
    return str(found[0])[:30] if len(found) else None


def _bare(column: pl.Series) -> pl.Series:
    return column.str.replace(r"[kmbt]$", "")


def _parse(column: pl.Series, mark: DecimalMark) -> pl.Series:
    digits = _bare(column)
    kept = digits.set(~digits.str.contains(_GROUPED[mark]).fill_null(value=False), None)
    group = "," if mark == "." else r"\."
    number = (
        kept.str.replace_all(group, "").str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    )
    ending = column.str.extract(r"\d([kmbt])$").replace_strict(_ENDINGS, default=1.0, return_dtype=pl.Float64)
    special = digits.str.contains(r"^[-+]?(?:inf(?:inity)?|nan)$").fill_null(value=False)
    return (number * ending).zip_with(~special, digits.cast(pl.Float64, strict=False))
