"""The 48 market features: causal, bounded, scale-free, and right where a hand can check them."""

from dataclasses import replace

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.market.bars import Bars
from app.market.features import WARMUP_BARS, FeatureSchema, compute_features, measure_risk
from app.market.schema import MARKET_FEATURES
from tests.market.making import REAL_FILES, cut, make_bars, read_googl, read_real

SCHEMA = FeatureSchema()


def column(bars: Bars, name: str) -> np.ndarray:
    return compute_features(bars, FeatureSchema(names=(name,)))[:, 0]


@pytest.mark.parametrize("name", REAL_FILES)
def test_features_of_real_files_are_bounded_numbers_after_the_warm_up(name: str) -> None:
    bars = read_real(name)
    table = compute_features(bars, SCHEMA)
    assert table.shape == (len(bars), 48)
    assert table.dtype == np.float32
    for start, stop in bars.segments:
        assert np.isnan(table[start : min(stop, start + WARMUP_BARS - 1)]).all()
        rows = table[start + WARMUP_BARS - 1 : stop]
        assert np.isfinite(rows).all()
        assert np.abs(rows).max(initial=0) <= 10


@pytest.mark.parametrize("name", REAL_FILES)
def test_truncating_the_future_changes_nothing(name: str) -> None:
    bars = read_real(name)
    whole = compute_features(bars, SCHEMA)
    for stop in (700, len(bars) // 2, len(bars) - 1):
        np.testing.assert_array_equal(compute_features(cut(bars, 0, stop), SCHEMA), whole[:stop])


@settings(max_examples=15, deadline=None)
@given(stop=st.integers(500, 899), seed=st.integers(0, 99))
def test_wild_futures_change_nothing(stop: int, seed: int) -> None:
    bars = make_bars(900, seed=seed)
    after = np.arange(900) >= stop
    wild = {
        n: np.where(after, getattr(bars, n) * 7, getattr(bars, n)) for n in ("open", "high", "low", "close")
    }
    table = compute_features(replace(bars, **wild, volume=np.where(after, 0, bars.volume)), SCHEMA)
    np.testing.assert_array_equal(table[:stop], compute_features(bars, SCHEMA)[:stop])


@pytest.mark.parametrize("name", ["googl_1d", "btcusd_1h_bitstamp_RAW", "btcperp_1m_ftx_2022_01"])
def test_a_live_window_of_599_bars_equals_the_whole_history(name: str) -> None:
    bars = read_real(name)
    live = compute_features(cut(bars, len(bars) - SCHEMA.min_history, len(bars)), SCHEMA)
    np.testing.assert_allclose(live[-100:], compute_features(bars, SCHEMA)[-100:], atol=1e-6)


def test_segments_do_not_see_each_other() -> None:
    bars = make_bars(1400, gaps=(700,))
    table = compute_features(bars, SCHEMA)
    np.testing.assert_array_equal(table[700:], compute_features(cut(bars, 700, 1400), SCHEMA))


def test_segments_shorter_than_the_warm_up_stay_empty() -> None:
    table = compute_features(make_bars(1000, gaps=(400,)), SCHEMA)
    assert np.isnan(table[:400]).all()
    assert np.isfinite(table[899:]).all()


@pytest.mark.parametrize("factor", [1e-9, 1e-6, 1e5])
def test_price_and_volume_units_do_not_matter(factor: float) -> None:
    bars = make_bars(800)
    prices = {n: getattr(bars, n) * factor for n in ("open", "high", "low", "close")}
    names = tuple(n for n in MARKET_FEATURES if n != "vol_z_50")  # ln(1+V) knows the unit by definition
    schema = FeatureSchema(names=names)
    other = replace(bars, **prices, volume=bars.volume * factor)
    np.testing.assert_allclose(compute_features(other, schema), compute_features(bars, schema), atol=2e-5)


def test_subset_takes_the_named_columns_in_the_named_order() -> None:
    bars = make_bars(700)
    whole = compute_features(bars, SCHEMA)
    names = ("rsi_14", "ret_1", "hour_sin")
    some = compute_features(bars, FeatureSchema(names=names))
    np.testing.assert_array_equal(some, whole[:, [MARKET_FEATURES.index(n) for n in names]])


def test_candle_features_by_hand() -> None:
    bars = make_bars(700)
    r = np.log(bars.close[1:] / bars.close[:-1])
    sigma = r[-100:].std()
    o, h, low, c = (getattr(bars, n)[-1] for n in ("open", "high", "low", "close"))
    expected = {
        "ret_1": r[-1] / sigma,
        "ret_20": np.log(c / bars.close[-21]) / (sigma * np.sqrt(20)),
        "gap": np.log(o / bars.close[-2]) / sigma,
        "body": np.log(c / o) / sigma,
        "upper_wick": (h - max(o, c)) / (h - low),
        "lower_wick": (min(o, c) - low) / (h - low),
        "range_ln": np.log(h / low) / sigma,
        "clv": ((c - low) - (h - c)) / (h - low),
    }
    for name, value in expected.items():
        assert column(bars, name)[-1] == pytest.approx(value, rel=1e-5), name


def test_trend_and_volatility_features_by_hand() -> None:
    bars = make_bars(700)
    atr = talib.ATR(bars.high, bars.low, bars.close, 14)
    c = bars.close[-1]
    top, bottom = bars.high[-20:].max(), bars.low[-20:].min()
    r = np.log(bars.close[1:] / bars.close[:-1])
    mean, deviation = bars.close[-20:].mean(), bars.close[-20:].std()
    slope = np.polyfit(np.arange(20), bars.close[-20:], 1)[0]
    expected = {
        "sma100_dist": (c - bars.close[-100:].mean()) / atr[-1],
        "donchian_pos_20": 2 * (c - bottom) / (top - bottom) - 1,
        "linreg_slope_20": slope * 20 / atr[-1],
        "mom_10_atr": (c - bars.close[-11]) / atr[-1] / np.sqrt(10),
        "bb_pctb_20": (c - mean + 2 * deviation) / (4 * deviation),
        "bb_width_20": np.log(4 * deviation / atr[-1]),
        "rvol_20": np.log(r[-20:].std() / r[-100:].std()),
        "rvol_ratio_10_60": np.log(r[-10:].std() / r[-60:].std()),
        "natr_ratio_14_100": np.log(atr[-1] / c / (atr[-100:] / bars.close[-100:]).mean()),
    }
    for name, value in expected.items():
        assert column(bars, name)[-1] == pytest.approx(value, rel=1e-4), name


def test_volume_features_by_hand() -> None:
    bars = make_bars(700)
    v, logs = bars.volume, np.log1p(bars.volume)
    sign = np.sign(np.diff(bars.close))
    clv = 2 * (bars.close - bars.low) / (bars.high - bars.low) - 1
    expected = {
        "vol_z_50": (logs[-1] - logs[-50:].mean()) / logs[-50:].std(),
        "vol_ratio_5_50": np.log(v[-5:].mean() / v[-50:].mean()),
        "cmf_20": (clv[-20:] * v[-20:]).sum() / v[-20:].sum(),
        "signed_vol_20": (sign[-20:] * v[-20:]).sum() / v[-20:].sum(),
    }
    for name, value in expected.items():
        assert column(bars, name)[-1] == pytest.approx(value, rel=1e-4), name


def test_time_features_use_the_local_clock() -> None:
    bars = read_googl()
    weekday = (bars.local_us // 86_400_000_000 + 3) % 7
    assert set(weekday) == {0, 1, 2, 3, 4}
    np.testing.assert_allclose(
        column(bars, "dow_sin")[499:], np.sin(2 * np.pi * weekday[499:] / 7), atol=1e-6
    )
    assert set(column(bars, "hour_cos")[499:]) == {1.0}


def test_flat_market_gives_numbers() -> None:
    bars = make_bars(700)
    same = np.full(700, 5.0)
    table = compute_features(replace(bars, open=same, high=same, low=same, close=same), SCHEMA)
    assert np.isfinite(table[499:]).all()
    assert (table[499:, :5] == 0).all()


def test_absent_volume_must_be_masked_and_then_gives_zeros() -> None:
    bars = replace(make_bars(700), volume=np.full(700, np.nan))
    with pytest.raises(InvalidInput, match="mfi_14") as caught:
        compute_features(bars, SCHEMA)
    assert "mask" in caught.value.hint
    masked = SCHEMA.mask_volume(has_volume=bars.has_volume)
    assert masked.masked == ("vol_z_50", "vol_ratio_5_50", "mfi_14", "cmf_20", "signed_vol_20")
    table = compute_features(bars, masked)
    assert (table[499:, [MARKET_FEATURES.index(n) for n in masked.masked]] == 0).all()
    assert (table[499:, 0] != 0).any()


def test_risk_measures_are_fractions_of_the_price() -> None:
    bars = make_bars(700)
    risk = measure_risk(bars)
    r = np.log(bars.close[1:] / bars.close[:-1])
    assert risk.sigma[-1] == pytest.approx(r[-100:].std(), rel=1e-9)
    natr = talib.NATR(bars.high, bars.low, bars.close, 14)
    assert risk.natr[-1] == pytest.approx(natr[-1] / 100, rel=1e-9)
    assert np.isfinite(risk.sigma).all()
    assert np.isfinite(risk.natr).all()
