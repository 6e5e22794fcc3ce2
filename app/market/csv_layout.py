"""Where the table begins in a CSV file: the lines above its header, its separator, its column names."""

import csv
import re
from dataclasses import dataclass

from app.market.column_names import count_roles
from app.market.findings import refuse_one

SEPARATORS = (",", ";", "\t", "|")
"""What may stand between two cells."""

HEAD_BYTES = 65_536
"""The file's first bytes, in which the header must stand."""

_HEAD_LINES = 60
_ENOUGH_ROLES = 4  # of timestamp, open, high, low, close: such a line is the header
_NUMBER = re.compile(r"[-+$]?\d[\d.,' ]*(e[-+]?\d+)?", re.IGNORECASE)
_TIME = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*|\d{8,}|\d{8} \d{4,6}")
_YFINANCE = ("ticker", "date", "datetime")


@dataclass(frozen=True, slots=True)
class CsvLayout:
    """How to read the rows of a CSV file."""

    names: tuple[str, ...]
    """Column names by position."""
    separator: str
    """One of SEPARATORS."""
    first_row: int
    """Byte at which the first row of values begins."""
    example: tuple[str, ...]
    """Cells of the first row of values."""
    has_comments: bool
    """Whether lines that begin with # stand between the rows."""


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    end: int


def read_layout(data: bytes, declared: tuple[str, ...] = ()) -> CsvLayout:
    """Find the header, or the first row where the columns are `declared` by position.

    Lines above the header (a URL, a title, `sep=;`, # comments) are passed over. Raises InvalidDataset:
    E_UNREADABLE for what is no text, E_COLUMNS for rows of values without a header.
    """
    lines = _head_lines(data)
    if not lines:
        raise refuse_one("E_UNREADABLE", "the file is empty or holds binary data, so it is not CSV")
    if declared:
        return _layout_of_rows(lines, declared)
    at, separator = _find_header(lines)
    names = tuple(_cells(lines[at].text.lstrip("#"), separator))
    if not count_roles(names) and _looks_like_row(list(names)):
        raise refuse_one("E_COLUMNS", _say_headless(list(names)))
    body = at + 1
    if _is_yfinance(lines[body : body + 2]):
        names, body = ("Date", *names[1:]), body + 2
    return _layout(lines, body, lines[body - 1].end, names, separator)


def _head_lines(data: bytes) -> list[_Line]:
    head = data[:HEAD_BYTES]
    if b"\0" in head:
        return []
    found, end = [], 0
    for raw in head.splitlines(keepends=True):
        end += len(raw)
        found.append(_Line(raw.decode("utf-8", "replace").strip("\ufeff \r\n"), end))
    return found if any(line.text for line in found) else []


def _find_header(lines: list[_Line]) -> tuple[int, str]:
    """The line that names most of the roles, the first such; else the first line with text."""
    best = (0, 0, next(at for at, line in enumerate(lines) if line.text), "")
    for at, line in enumerate(lines[:_HEAD_LINES]):
        for separator in SEPARATORS:
            cells = _cells(line.text.lstrip("#"), separator)
            score = (count_roles(cells), len(cells))
            if score[0] > best[0]:
                best = (*score, at, separator)
        if best[0] >= _ENOUGH_ROLES:
            break
    at, separator = best[2:]
    return at, separator or max(SEPARATORS, key=lines[at].text.count)


def _layout_of_rows(lines: list[_Line], declared: tuple[str, ...]) -> CsvLayout:
    for at, line in enumerate(lines[:_HEAD_LINES]):
        separator = max(SEPARATORS, key=line.text.count)
        cells = _cells(line.text, separator)
        if _looks_like_row(cells):
            if len(declared) > len(cells):
                words = f"columns names {len(declared)} columns, the rows have {len(cells)}"
                raise refuse_one("E_COLUMNS", words)
            rest = tuple(f"column {n}" for n in range(len(declared) + 1, len(cells) + 1))
            start = lines[at - 1].end if at else 0
            return _layout(lines, at, start, declared + rest, separator)
    raise refuse_one(
        "E_COLUMNS", "columns are declared, but no row of values follows in the file's first lines"
    )


def _layout(lines: list[_Line], body: int, start: int, names: tuple[str, ...], separator: str) -> CsvLayout:
    rows = [line.text for line in lines[body:] if line.text]
    first = next((row for row in rows if not row.startswith("#")), "")
    example = tuple(_cells(first, separator))
    if len(example) == len(names) + 1 and not example[-1].strip():
        names = (*names, "")  # each row ends with a separator
    comments = any(row.startswith("#") for row in rows)
    return CsvLayout(names, separator, start, example, comments)


def _cells(text: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        return text.split(separator)


def _looks_like_row(cells: list[str]) -> bool:
    plain = [cell.strip(" \"'") for cell in cells]
    numbers = sum(bool(_NUMBER.fullmatch(cell)) for cell in plain)
    return numbers >= 4 and any(_TIME.fullmatch(cell) for cell in plain[:4])


def _is_yfinance(lines: list[_Line]) -> bool:
    """Whether two more header lines follow: `Ticker,GOOGL,…` and `Date,,,`, as yfinance writes them."""
    firsts = [line.text.partition(",")[0].strip().lower() for line in lines]
    return len(firsts) == 2 and firsts[0] == _YFINANCE[0] and firsts[1] in _YFINANCE[1:]


def _say_headless(cells: list[str]) -> str:
    binance = len(cells) in {11, 12} and cells[0].strip().isdigit() and cells[6].strip().isdigit()
    names = "timestamp,open,high,low,close,volume"
    if not cells[0].strip().isdigit() and re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", cells[1].strip()):
        names = "date,time,open,high,low,close,volume"
    what = "Binance's klines begin with" if binance else "most exports begin with"
    return f"the file has no header line, its first line holds {len(cells)} values; {what} columns={names}"
