"""Each of the 48 features against an independent slow computation, on random and on real bars."""

import numpy as np
import pytest

from app.market.bars import Bars
from app.market.features import FeatureSchema, compute_features
from app.market.schema import MARKET_FEATURES
from tests.market.making import cut, make_bars, read_googl, read_real
from tests.market.slow_features import slow_features


def compare(bars: Bars) -> None:
    expected = slow_features(bars)
    assert list(expected) == list(MARKET_FEATURES)
    row = compute_features(bars, FeatureSchema())[-1]
    clipped = {name: np.clip(value, -10, 10) for name, value in expected.items()}
    wrong = {
        name: (float(row[at]), value)
        for at, (name, value) in enumerate(clipped.items())
        if not np.isclose(row[at], value, rtol=1e-4, atol=2e-5)
    }
    assert not wrong


@pytest.mark.parametrize("count", [700, 841, 1003])
def test_random_bars(count: int) -> None:
    compare(make_bars(count, seed=count))


@pytest.mark.parametrize("stop", [700, 1501, 2335])
def test_the_shipped_days_of_a_share(stop: int) -> None:
    compare(cut(read_googl(), max(0, stop - 900), stop))


@pytest.mark.parametrize("name", ["eurusd_1h_2017", "ethbtc_5m_2018_01", "btcperp_1m_ftx_2022_01"])
def test_real_bars(name: str) -> None:
    bars = read_real(name)
    for stop in (1200, len(bars) // 2, len(bars)):
        compare(cut(bars, stop - 900, stop))
