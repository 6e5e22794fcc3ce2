"""Trend features: distances from averages, MACD, directional movement, channels."""

import numpy as np
import talib

from app.market.series import FloatArray, Series, ratio

NAMES = (
    *("ema10_dist", "ema20_dist", "ema50_dist", "sma100_dist", "ema10_50_spread"),
    *("macd_atr", "macd_signal_atr", "macd_hist_atr", "adx_14", "di_diff_14", "aroonosc_25"),
    *("linreg_slope_20", "donchian_pos_20", "donchian_pos_100"),
)
"""Names in the order of `compute`."""


def compute(series: Series) -> list[FloatArray]:
    """Price distances in units of the average true range A."""
    s = series
    ema10, ema20, ema50 = (talib.EMA(s.close, n) for n in (10, 20, 50))
    averages = (ema10, ema20, ema50, talib.SMA(s.close, 100))
    macd = talib.MACD(s.close, 12, 26, 9)
    plus, minus = (f(s.high, s.low, s.close, 14) for f in (talib.PLUS_DI, talib.MINUS_DI))
    return [
        *(ratio(s.close - average, s.atr) for average in averages),
        ratio(ema10 - ema50, s.atr),
        *(ratio(line, s.atr) for line in macd),
        np.asarray(talib.ADX(s.high, s.low, s.close, 14) / 50 - 1),
        np.asarray((plus - minus) / 100),
        np.asarray(talib.AROONOSC(s.high, s.low, 25) / 100),
        ratio(talib.LINEARREG_SLOPE(s.close, 20) * 20, s.atr),
        _donchian(s, 20),
        _donchian(s, 100),
    ]


def _donchian(s: Series, bars: int) -> FloatArray:
    top, bottom = talib.MAX(s.high, bars), talib.MIN(s.low, bars)
    return ratio((s.close - bottom) - (top - s.close), top - bottom)
