"""Volume features: how much is traded, and on which side of the bar."""

import numpy as np
import talib

from app.market.series import FloatArray, Series, log_ratio, ratio

NAMES = ("vol_z_50", "vol_ratio_5_50", "mfi_14", "cmf_20", "signed_vol_20")
"""Names in the order of `compute`."""

_VOLUME_SCALE = 2.0**20
"""About what the segment's first volume is brought to, by a power of two; it changes no feature."""


def compute(series: Series) -> list[FloatArray]:
    """z-score of ln(1+V), log ratio of averages, money flow index, Chaikin money flow, signed volume."""
    s = series
    logs = np.log1p(s.volume)
    change = np.sign(np.diff(s.close, prepend=s.close[:1]))
    volume = _scale(s.volume)
    return [
        ratio(logs - talib.SMA(logs, 50), talib.STDDEV(logs, 50)),
        log_ratio(talib.SMA(volume, 5), talib.SMA(volume, 50)),
        np.asarray(talib.MFI(s.high, s.low, s.close, volume, 14) / 50 - 1),
        ratio(talib.SUM(s.clv * volume, 20), talib.SUM(volume, 20)),
        ratio(talib.SMA(change * volume, 20), talib.SMA(volume, 20)),
    ]


def _scale(volume: FloatArray) -> FloatArray:
    positive = volume[volume > 0]  # TA-Lib's MFI gives 0 below an absolute flow of 1, whatever the unit
    factor = 2.0 ** np.round(np.log2(_VOLUME_SCALE / positive[0])) if len(positive) else 1.0
    return np.asarray(volume * factor)
