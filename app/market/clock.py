"""Time features: hour and weekday of the bar's open on a circle, in the declared time zone."""

import numpy as np

from app.market.series import FloatArray, Series

NAMES = ("hour_sin", "hour_cos", "dow_sin", "dow_cos")
"""Names in the order of `compute`."""

_DAY_US = 86_400_000_000


def compute(series: Series) -> list[FloatArray]:
    """Sine and cosine of the time of day and of the weekday (Monday is 0)."""
    hour = 2 * np.pi * (series.local_us % _DAY_US) / _DAY_US
    weekday = 2 * np.pi * ((series.local_us // _DAY_US + 3) % 7) / 7  # 1970-01-01 was a Thursday
    return [np.sin(hour), np.cos(hour), np.sin(weekday), np.cos(weekday)]
