"""How far a Sharpe ratio can be trusted: bootstrap intervals and the deflated Sharpe ratio."""

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from app.errors import InvalidInput
from app.market.performance import FloatArray, sharpe_ratio

_EULER = 0.5772156649015329
_NORMAL = NormalDist()


def bootstrap_sharpe(
    returns: FloatArray,
    periods_per_year: float,
    *,
    samples: int = 500,
    mean_block: float | None = None,
    seed: int = 1,
) -> tuple[float, float] | None:
    """95 % interval of the annual Sharpe ratio by the stationary bootstrap (Politis & Romano 1994).

    Blocks of geometric length, mean T^{1/3} unless given, wrap around the end. None if nothing moved.
    """
    if sharpe_ratio(returns, periods_per_year) is None:
        return None
    generator = np.random.default_rng(seed)
    block = mean_block or max(1.0, len(returns) ** (1 / 3))
    drawn = (
        sharpe_ratio(returns[resample_rows(len(returns), block, generator)], periods_per_year)
        for _ in range(samples)
    )
    low, high = np.percentile([value for value in drawn if value is not None] or [0.0], (2.5, 97.5))
    return float(low), float(high)


def resample_rows(count: int, mean_block: float, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Rows [T] of one stationary bootstrap sample: each row follows the last, or starts a new block."""
    if count < 1 or mean_block < 1:
        hint = "1 row or more, and blocks of 1 row or more"
        raise InvalidInput(f"{count} rows in blocks of {mean_block}", hint=hint, pointer="mean_block")
    starts = generator.random(count) < 1 / mean_block
    starts[0] = True
    rows = np.arange(count)
    begun = np.maximum.accumulate(np.where(starts, rows, 0))
    return np.asarray((generator.integers(count, size=count)[begun] + rows - begun) % count)


def deflated_sharpe(returns: FloatArray, num_trials: int, trials_deviation: float) -> float | None:
    """Probability that the true Sharpe ratio is above what the best of `num_trials` shows by luck.

    `trials_deviation` is the deviation of the trials' Sharpe ratios per period (not per year). Bailey &
    López de Prado 2014, "The Deflated Sharpe Ratio", eq. 2 and 4. None if nothing moved.
    """
    if num_trials < 1 or trials_deviation < 0:
        detail = f"num_trials is {num_trials}, trials_deviation {trials_deviation}"
        raise InvalidInput(detail, hint="1 trial or more, a deviation from 0", pointer="num_trials")
    sharpe = sharpe_ratio(returns, 1.0)
    if sharpe is None:
        return None
    centred = (returns - returns.mean()) / returns.std()
    moments = (float((centred**3).mean()), float((centred**4).mean()))
    return probable_sharpe(sharpe, len(returns), moments, trials_deviation * expected_maximum(num_trials))


def probable_sharpe(
    sharpe: float, count: int, moments: tuple[float, float], benchmark: float
) -> float | None:
    """Probability that the true ratio per period is above `benchmark`, given skewness and kurtosis.

    Bailey & López de Prado 2012, "The Sharpe Ratio Efficient Frontier", eq. 11. None if the moments are
    too extreme for the formula.
    """
    skewness, kurtosis = moments
    spread = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt((count - 1) / spread)) if spread > 0 else None


def expected_maximum(num_trials: int) -> float:
    """About the largest of `num_trials` standard normal values that luck gives; 0 for a single one."""
    if num_trials == 1:
        return 0.0
    low, high = 1 - 1 / num_trials, 1 - 1 / (num_trials * math.e)
    return (1 - _EULER) * _NORMAL.inv_cdf(low) + _EULER * _NORMAL.inv_cdf(high)
