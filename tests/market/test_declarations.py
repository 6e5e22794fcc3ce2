"""What may be declared about a file of bars, and what a file may measure."""

import io
from pathlib import Path
from typing import Any

import pytest

from app.errors import InvalidInput, LimitExceeded
from app.market.bars import BarLimits, Declarations, read_bars
from tests.market.test_bars import UTC, table, upload


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (BarLimits(max_rows=699), "rows of bars"),
        (BarLimits(max_bytes=1000), "bytes of bars"),
        (BarLimits(max_columns=5), "columns of bars"),
    ],
)
def test_limits_are_named(limits: BarLimits, name: str, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(upload(table()).getvalue())
    for source in (upload(table()), path):
        with pytest.raises(LimitExceeded) as caught:
            read_bars(source, UTC, limits=limits)
        assert caught.value.limit_name == name


def test_parquet_rows_are_counted_before_they_are_unpacked() -> None:
    buffer = io.BytesIO()
    table().write_parquet(buffer)
    with pytest.raises(LimitExceeded, match="700"):
        read_bars(buffer.getvalue(), UTC, limits=BarLimits(max_rows=10))


@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "../etc/passwd"}, "timezone"),
        ({"calendar": "XMARS"}, "calendar"),
        ({"label": "middle"}, "label"),
        ({"adjusted": "no"}, "adjusted"),
        ({"date_order": "ydm"}, "date_order"),
        ({"decimal_mark": ";"}, "decimal_mark"),
        ({"columns": "timestamp,,open"}, "columns"),
        ({"feature_columns": "mood,mood"}, "feature_columns"),
        ({"bar_seconds": 0}, "bar_seconds"),
        ({"bar_seconds": 10**7}, "bar_seconds"),
    ],
)
def test_impossible_declarations_are_refused(values: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Declarations(**values)
    assert caught.value.pointer == pointer
    assert caught.value.hint
