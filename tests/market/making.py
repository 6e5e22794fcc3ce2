"""Bars for the tests: synthetic ones, the shipped file, and the real files where they are at hand."""

import itertools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.market.bars import Bars, Declarations, read_bars

ROOT = Path(__file__).parents[2]
GOOGL = ROOT / "examples" / "data" / "googl_1d.csv"
REAL = Path(os.environ.get("CALIPER_TEST_DATA", ROOT.parent / "shared" / "data"))

REAL_FILES = {
    "googl_1d": "XNYS",
    "nasdaq_1d": "XNYS",
    "eurusd_1h_2017": "24x5",
    "gbpusd_1h": "24x5",
    "btcusd_1h_bitstamp_RAW": "24x7",
    "btcperp_1m_ftx_2022_01": "24x7",
    "ethbtc_5m_2018_01": "24x7",
    "ltcbtc_5m_2018_01": "24x7",
}


def read_googl() -> Bars:
    return read_bars(GOOGL, Declarations(calendar="XNYS", adjusted="split", volume_unit="shares"))


def read_real(name: str) -> Bars:
    path = REAL / f"{name}.parquet"
    if not path.exists():
        pytest.skip("the real test files are not at hand")
    return read_bars(path, Declarations(calendar=REAL_FILES[name]))


def make_bars(count: int, *, seed: int = 0, gaps: tuple[int, ...] = (), volatility: float = 0.01) -> Bars:
    """Random-walk hourly bars; `gaps` are the rows that follow a pause."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, volatility, count)))
    opened = np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0, volatility / 5, count))
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, volatility / 2, count)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, volatility / 2, count)))
    hours = np.arange(count, dtype=np.int64)
    for row in gaps:
        hours[row:] += 30
    edges = [0, *gaps, count]
    return Bars(
        utc_us=hours * 3_600_000_000 + 1_500_000_000_000_000,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=rng.lognormal(3, 1, count),
        declarations=Declarations(bar_seconds=3600, calendar="24x7"),
        segments=tuple(itertools.pairwise(edges)),
    )


def cut(bars: Bars, start: int, stop: int) -> Bars:
    """The rows start..stop-1 of bars, their segments cut likewise."""
    arrays = {
        name: getattr(bars, name)[start:stop] for name in ("utc_us", "open", "high", "low", "close", "volume")
    }
    clipped = ((max(a, start) - start, min(b, stop) - start) for a, b in bars.segments)
    return replace(bars, **arrays, segments=tuple((a, b) for a, b in clipped if a < b))
