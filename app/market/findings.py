"""Findings: what is wrong or doubtful in a file of bars, with rows, count and the fix.

Row 1 is the first row after a CSV file's header, or the first row of a Parquet file, as uploaded.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from app.errors import InvalidDataset
from app.network.shape import DOCUMENTED

SHOWN_ROWS = 5
"""Row numbers that a finding lists."""

FIXES: dict[str, str] = {
    "E_UNREADABLE": "upload a CSV file (UTF-8 or UTF-16, plain, .gz or .zip) or a Parquet file",
    "E_COLUMNS": "name the columns timestamp, open, high, low, close, volume; for a file without header declare columns",
    "E_TZ_NAIVE": "declare timezone, e.g. UTC or Europe/Berlin; for days alone the calendar will do, e.g. calendar=XNYS",
    "E_DATE_AMBIGUOUS": "write ISO 8601 times (2017-04-03T10:00:00Z), or declare date_order (dmy or mdy)",
    "E_NUMBER_AMBIGUOUS": "declare decimal_mark (. or ,): 1,234 is a fraction in some files, thousands in others",
    "E_SYMBOLS": "upload one file for each symbol",
    "E_UNSORTED": "sort the rows by time; for a file that runs from new to old declare reverse=true",
    "E_DUP_TS": "keep one row for each timestamp; rows that agree in every column are dropped for you",
    "E_NAN_PRICE": "remove these rows or fetch them again; prices are never filled in",
    "E_NAN_FEATURE": "fill your feature columns by a rule that uses no later row, or cut the rows off",
    "E_NONPOSITIVE": "prices must be above 0 and volumes not below 0: back-adjusted series need an offset",
    "E_OHLC_ORDER": "low <= open, close <= high must hold: check which column is which",
    "E_OFF_GRID": "bars must start on multiples of the bar length: declare the right bar_seconds or resample",
    "E_TOO_SHORT": "bring more bars without gaps, or declare the calendar so that closing times are no gaps",
    "W_GAP": "no window or episode crosses a gap; declare the calendar if these are closing times",
    "W_SHORT_SEGMENT": "no decision is made in them: bring the missing bars, or declare the right calendar",
    "W_JUMP": "check for an unadjusted split or a bad tick",
    "W_VOLUME_UNIT": "volume seems to change its unit inside the file: rescale it or leave volume features out",
    "W_VOLUME_ABSENT": "volume features are zero and masked in the schema; rows without volume count as 0",
    "W_FLAT_BARS": "often filled in by the exporter where nobody traded: leave such bars out if they are many",
}
"""How to mend each finding."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of breach (E_…) or doubt (W_…)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    code: str
    """E_… refuses the file, W_… is kept beside the bars."""
    message: str
    """What was found."""
    rows: tuple[int, ...]
    """First rows concerned, counted from 1 as uploaded; empty where it concerns the whole file."""
    count: int
    """How many rows (or columns) are concerned."""
    fix: str
    """What to do about it."""

    def plain(self) -> dict[str, Any]:
        """The finding as plain types."""
        return {**asdict(self), "rows": list(self.rows)}


@dataclass(slots=True)
class Findings:
    """Collects findings, so that a user sees all of them at once."""

    found: list[Finding] = field(default_factory=list)

    def add(self, code: str, message: str, rows: npt.ArrayLike = (), count: int | None = None) -> None:
        """Note a finding; `rows` are row numbers from 1, of which the first few are kept."""
        numbers = np.sort(np.asarray(rows, dtype=np.int64))
        shown = tuple(int(row) for row in numbers[:SHOWN_ROWS])
        self.found.append(
            Finding(code, message, shown, len(numbers) if count is None else count, FIXES[code])
        )

    def add_where(self, code: str, message: str, mask: npt.NDArray[np.bool_], rows: npt.ArrayLike) -> None:
        """Note a finding if any entry of `mask` is set; `rows` are the row numbers of the entries."""
        if mask.any():
            self.add(code, message, np.asarray(rows)[mask])

    def raise_errors(self) -> None:
        """Raise InvalidDataset with every E_ finding, if there is one."""
        errors = [finding for finding in self.found if finding.code.startswith("E_")]
        if errors:
            raise refuse(errors)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The W_ findings."""
        return tuple(finding for finding in self.found if finding.code.startswith("W_"))


def refuse(errors: list[Finding]) -> InvalidDataset:
    """The error that carries these findings."""
    parts = [f"{error.code}: {error.message}{_where(error)}" for error in errors]
    hint = errors[0].fix if len(errors) == 1 else "; ".join(f"{error.code}: {error.fix}" for error in errors)
    return InvalidDataset("; ".join(parts), hint=hint, findings=[error.plain() for error in errors])


def refuse_one(code: str, message: str) -> InvalidDataset:
    """The error for a single finding that concerns the whole file."""
    return refuse([Finding(code, message, (), 1, FIXES[code])])


def _where(finding: Finding) -> str:
    if not finding.rows:
        return ""
    more = ", …" if finding.count > len(finding.rows) else ""
    return f" (rows {', '.join(str(row) for row in finding.rows)}{more}; {finding.count:,} in all)"
