"""Candle features: returns over several horizons and the bar's own shape."""

import numpy as np

from app.market.series import FloatArray, Series, lagged_log_ratio, ratio

NAMES = (
    *("ret_1", "ret_5", "ret_20", "ret_60", "gap"),
    *("body", "upper_wick", "lower_wick", "range_ln", "clv"),
)
"""Names in the order of `compute`."""


def compute(series: Series) -> list[FloatArray]:
    """Returns in units of S·√n, wicks in units of the bar's range."""
    s = series
    height = s.high - s.low
    returns = [ratio(lagged_log_ratio(s.close, n), s.sigma * np.sqrt(n)) for n in (1, 5, 20, 60)]
    overnight = np.full(len(s.close), np.nan)
    overnight[1:] = np.log(s.open[1:] / s.close[:-1])
    return [
        *returns,
        ratio(overnight, s.sigma),
        ratio(np.log(s.close / s.open), s.sigma),
        ratio(s.high - np.maximum(s.open, s.close), height),
        ratio(np.minimum(s.open, s.close) - s.low, height),
        ratio(np.log(s.high / s.low), s.sigma),
        s.clv,
    ]
