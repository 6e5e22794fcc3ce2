"""Momentum features: oscillators, each brought to about -1..1."""

import numpy as np
import talib

from app.market.series import FloatArray, Series, ratio

NAMES = ("rsi_7", "rsi_14", "stoch_k", "stoch_d", "willr_14", "cci_20", "mom_10_atr", "cmo_14", "ultosc")
"""Names in the order of `compute`."""


def compute(series: Series) -> list[FloatArray]:
    """RSI, stochastic, Williams %R, CCI, momentum, CMO and the ultimate oscillator."""
    s = series
    slow_k, slow_d = talib.STOCH(s.high, s.low, s.close, 14, 3, slowd_period=3)
    oscillators = [
        talib.RSI(s.close, 7) / 50 - 1,
        talib.RSI(s.close, 14) / 50 - 1,
        slow_k / 50 - 1,
        slow_d / 50 - 1,
        talib.WILLR(s.high, s.low, s.close, 14) / 50 + 1,
        talib.CCI(s.high, s.low, s.close, 20) / 200,
        ratio(talib.MOM(s.close, 10), s.atr) / np.sqrt(10),
        talib.CMO(s.close, 14) / 100,
        talib.ULTOSC(s.high, s.low, s.close, 7, 14, 28) / 50 - 1,
    ]
    return [np.asarray(values) for values in oscillators]
