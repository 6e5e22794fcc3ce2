"""Files as other programs write them, of values that are known; and what reading them must give."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from app.errors import InvalidDataset
from app.market.bars import Bars, Declarations, read_bars
from tests.market.making import make_bars

COUNT = 720
FIRST = datetime(2018, 5, 15, 6, tzinfo=UTC)
RANDOM = make_bars(COUNT)
PRICES = [
    [round(float(getattr(RANDOM, n)[t]), 5) for n in ("open", "high", "low", "close")] for t in range(COUNT)
]
VOLUME = [round(float(v) * 1000, 2) for v in RANDOM.volume]
HOURS = [FIRST + timedelta(hours=t) for t in range(COUNT)]
DAYS = [FIRST.replace(hour=0) + timedelta(days=t) for t in range(COUNT)]
UTC_24X7: dict[str, Any] = {"timezone": "UTC", "calendar": "24x7"}

Cells = Callable[[int], Iterable[object]]


def csv(
    header: str, cells: Cells, *, separator: str = ",", above: str = "", rows: Iterable[int] = range(COUNT)
) -> bytes:
    lines = [separator.join(str(cell) for cell in cells(t)) for t in rows]
    return ("\n".join([*([above] if above else []), *([header] if header else []), *lines]) + "\n").encode()


def is_read(
    data: bytes, *, times: list[datetime] = HOURS, volume: list[float] | None = VOLUME, **declared: Any
) -> Bars:
    """Read, and hold against the values that were written."""
    bars = read_bars(data, Declarations(**{"calendar": "24x7", **declared}))
    assert bars.utc_us.tolist() == [int(time.timestamp()) * 1_000_000 for time in times]
    assert np.stack([bars.open, bars.high, bars.low, bars.close], axis=1).tolist() == PRICES
    if volume is not None:
        assert bars.volume.tolist() == volume
    return bars


def refused(data: bytes, **declared: Any) -> dict[str, Any]:
    with pytest.raises(InvalidDataset) as caught:
        read_bars(data, Declarations(**declared))
    (finding,) = caught.value.extra["findings"]
    assert finding["fix"]
    return dict(finding)


def ohlcv(t: int) -> list[object]:
    return [*PRICES[t], VOLUME[t]]


def iso(t: int) -> str:
    return HOURS[t].strftime("%Y-%m-%d %H:%M:%S")


PLAIN = csv("timestamp,open,high,low,close,volume", lambda t: [iso(t), *ohlcv(t)])
