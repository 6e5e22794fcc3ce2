"""The series that all indicator groups of one segment share, and safe arithmetic on them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import talib

FloatArray = npt.NDArray[np.float64]

SIGMA_BARS = 100
"""Bars of the return deviation S that many features are measured in."""

ATR_BARS = 14
"""Bars of the average true range A."""

_TINY = 1e-12
_RETURN_SCALE = 1e4  # TA-Lib takes a variance below 1e-14 for zero: returns are counted in basis points
_PRICE_SCALE = 1024.0


@dataclass(frozen=True)
class Series:
    """One segment without gaps; prices are scaled by a power of two, which changes no feature.

    TA-Lib takes small absolute values for zero, so a coin at 1e-6 would lose its indicators unscaled.
    Only the segment's first close decides the scale: later bars change nothing before them.
    """

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    """Volume, 0 where missing."""
    local_us: npt.NDArray[np.int64]
    """Bar opens in wall-clock microseconds."""

    @cached_property
    def returns(self) -> FloatArray:
        """ln(C/C[-1]), NaN first."""
        return lagged_log_ratio(self.close, 1)

    @cached_property
    def sigma(self) -> FloatArray:
        """S, the deviation of the last 100 one-bar log returns."""
        return deviation(self.returns, SIGMA_BARS)

    @cached_property
    def atr(self) -> FloatArray:
        """A, the average true range of 14 bars, in (scaled) price."""
        return self.true_range(ATR_BARS)

    @cached_property
    def natr(self) -> FloatArray:
        """A/C, a fraction of the price."""
        return np.asarray(self.atr / self.close)

    @cached_property
    def clv(self) -> FloatArray:
        """Close location value ((C-L)-(H-C))/(H-L), 0 for a flat bar."""
        return ratio((self.close - self.low) - (self.high - self.close), self.high - self.low)

    def true_range(self, bars: int) -> FloatArray:
        """Average true range (Wilder) of so many bars."""
        return np.asarray(talib.ATR(self.high, self.low, self.close, bars))


def build_series(
    prices: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    volume: FloatArray,
    local_us: npt.NDArray[np.int64],
) -> Series:
    """The series of one segment from open, high, low, close; NaN volume counts as 0."""
    scale = 2.0 ** np.round(np.log2(_PRICE_SCALE / prices[3][0]))
    opened, high, low, close = (np.ascontiguousarray(price * scale) for price in prices)
    return Series(opened, high, low, close, np.nan_to_num(volume), local_us)


def lagged_log_ratio(values: FloatArray, lag: int) -> FloatArray:
    """ln(x/x[-lag]), NaN for the first `lag` values."""
    result = np.full(len(values), np.nan)
    result[lag:] = np.log(values[lag:] / values[:-lag])
    return result


def deviation(returns: FloatArray, bars: int) -> FloatArray:
    """Population deviation of the last `bars` returns (TA-Lib STDDEV)."""
    return np.asarray(talib.STDDEV(returns * _RETURN_SCALE, bars) / _RETURN_SCALE)


def ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """above/below, and 0 where nothing moved (below is 0); NaN stays NaN."""
    safe = np.where(below > _TINY, below, 1.0)
    return np.where((below > _TINY) | np.isnan(below), above / safe + 0.0 * below, 0.0)


def log_ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """ln(above/below) with both kept above 1e-12, so that two zeros give 0; NaN stays NaN."""
    return np.asarray(np.log(np.maximum(above, _TINY) / np.maximum(below, _TINY)))
