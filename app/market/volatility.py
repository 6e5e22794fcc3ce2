"""Volatility features: how wide the market swings now, against how wide it did."""

import talib

from app.market.series import FloatArray, Series, deviation, log_ratio, ratio

NAMES = ("natr_ratio_14_100", "atr_ratio_7_28", "bb_pctb_20", "bb_width_20", "rvol_20", "rvol_ratio_10_60")
"""Names in the order of `compute`; the ratios are logarithms."""


def compute(series: Series) -> list[FloatArray]:
    """Log ratios of true ranges and of return deviations, and the Bollinger band's position and width."""
    s = series
    upper, _, lower = talib.BBANDS(s.close, 20, 2.0, 2.0)
    return [
        log_ratio(s.natr, talib.SMA(s.natr, 100)),
        log_ratio(s.true_range(7), s.true_range(28)),
        ratio(s.close - lower, upper - lower),
        log_ratio(upper - lower, s.atr),
        log_ratio(deviation(s.returns, 20), s.sigma),
        log_ratio(deviation(s.returns, 10), deviation(s.returns, 60)),
    ]
