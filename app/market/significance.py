"""How far a result can be trusted: bootstrap intervals and the deflated Sharpe ratio."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from app.errors import InvalidInput
from app.market.performance import FloatArray, sharpe_ratio
from app.network.shape import DOCUMENTED

IntArray = npt.NDArray[np.int64]

BOOTSTRAP_SAMPLES = 1_000
"""Resamples behind an interval."""

BATCH_BLOCKS = 1_000_000
"""Blocks that are drawn at once: memory stays near 100 MB however long the span is."""

_EULER = 0.5772156649015329
_NORMAL = NormalDist()
_SMALLEST_VARIANCE = 1e-28
_ROUNDING = 1e-14  # returns closer than this are the same


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    low: float
    """2.5 % quantile."""
    high: float
    """97.5 % quantile."""

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Intervals:
    """What the stationary bootstrap says of a strategy and of its distance to another one."""

    sharpe: Interval | None
    """Of the annual Sharpe ratio; None if nothing moved."""
    excess: Interval
    """Of the mean log return over the other's, per year."""
    sharpe_difference: Interval | None
    """Of the annual Sharpe ratio less the other's; None if one of the two never moved."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Returns in four numbers: all that the deflated Sharpe ratio needs of them."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    periods: int
    """Bars."""
    sharpe: float
    """Mean over deviation per bar, not per year."""
    skewness: float
    """Third standardised moment."""
    kurtosis: float
    """Fourth standardised moment; 3 for a normal distribution."""


@dataclass(frozen=True, slots=True)
class Trials:
    """What was tried on the same test span, this trial included."""

    count: int
    """Runs that opened the span."""
    earlier_sharpes: tuple[float, ...] = ()
    """Sharpe ratios per bar that others of them reached; 0 for one that never traded."""


@dataclass(frozen=True, slots=True)
class Deflation:
    """A Sharpe ratio in the light of the number of trials (Bailey & López de Prado 2014)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    trials: int
    """Runs that had opened the test span when this was reckoned."""
    trials_deviation: float
    """Deviation of their Sharpe ratios, per year; 0 for a single one."""
    lucky_sharpe: float
    """Annual Sharpe ratio that the best of so many trials would show without any skill."""
    deflated_sharpe: float | None
    """Probability that the true Sharpe ratio is above that; null if nothing moved or the moments are too extreme."""


def bootstrap_intervals(
    logs: FloatArray,
    other_logs: FloatArray,
    periods_per_year: float,
    *,
    samples: int = BOOTSTRAP_SAMPLES,
    mean_block: float | None = None,
    seed: int = 1,
) -> Intervals:
    """95 % percentile intervals by the stationary bootstrap (Politis & Romano 1994) of log returns [T].

    Both series are resampled by the same blocks, so that what moves both cancels in the differences.
    Blocks of geometric length, mean T^{1/3} unless given, wrap around the end.
    """
    simple, other = np.expm1(logs), np.expm1(other_logs)
    centred, other_centred = simple - simple.mean(), other - other.mean()
    apart = logs - other_logs
    apart[np.abs(apart) < _ROUNDING] = 0.0
    columns = np.stack([centred, centred**2, other_centred, other_centred**2, apart])
    means = resample_means(columns, samples, mean_block or max(1.0, len(logs) ** (1 / 3)), seed)
    mine = _sharpes(simple, means[0], means[1], periods_per_year)
    others = _sharpes(other, means[2], means[3], periods_per_year)
    excess = _interval(means[4] * periods_per_year)
    assert excess is not None  # a mean of finite numbers always exists
    return Intervals(_interval(mine), excess, _interval(mine - others))


def resample_means(columns: FloatArray, samples: int, mean_block: float, seed: int) -> FloatArray:
    """Means [C, samples] of the columns [C, T] over stationary bootstrap samples of their rows.

    A block's sum is the difference of two prefix sums, so a sample costs as much as it has blocks, not rows.
    """
    count = columns.shape[1]
    prefix = np.concatenate([np.zeros((len(columns), 1)), columns.cumsum(axis=1)], axis=1)
    generator = np.random.default_rng(seed)
    batch = max(1, int(BATCH_BLOCKS * mean_block / (count + mean_block)))
    means = [
        _sum_blocks(prefix, *draw_blocks(count, mean_block, min(batch, samples - done), generator)) / count
        for done in range(0, samples, batch)
    ]
    return np.concatenate(means, axis=1)


def draw_blocks(
    count: int, mean_block: float, samples: int, generator: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """First rows and lengths [samples, B] of blocks that fill `count` rows; surplus blocks have length 0."""
    if count < 1 or mean_block < 1:
        hint = "1 row or more, and blocks of 1 row or more"
        raise InvalidInput(f"{count} rows in blocks of {mean_block}", hint=hint, pointer="mean_block")
    expected = count / mean_block
    enough = min(count, math.ceil(expected + 8 * math.sqrt(expected)) + 16)
    shape = (samples, enough)
    ends = np.minimum(generator.geometric(1 / mean_block, shape).cumsum(axis=1), count)
    ends[:, -1] = count
    return generator.integers(count, size=shape), np.diff(ends, axis=1, prepend=0)


def measure_moments(returns: FloatArray) -> Moments | None:
    """The moments of simple returns [T]; None if nothing moved."""
    sharpe = sharpe_ratio(returns, 1.0)
    if sharpe is None:
        return None
    centred = (returns - returns.mean()) / returns.std()
    return Moments(len(returns), sharpe, float((centred**3).mean()), float((centred**4).mean()))


def deflate(moments: Moments | None, trials: Trials, periods_per_year: float) -> Deflation:
    """Put a Sharpe ratio beside what the best of the trials shows by luck (2014, eq. 2 and 4).

    The trials' deviation is that of all known ratios, this one's included; with a single one it is 0, and
    the result is the probability that the true ratio is above 0. Raises InvalidInput without a trial.
    """
    if trials.count < 1:
        raise InvalidInput(f"{trials.count} trials", hint="1 trial or more", pointer="trials")
    known = (*trials.earlier_sharpes, moments.sharpe if moments else 0.0)
    deviation = float(np.std(known, ddof=1)) if len(known) > 1 else 0.0
    luck = deviation * expected_maximum(trials.count)
    year = math.sqrt(periods_per_year)
    return Deflation(
        trials=trials.count,
        trials_deviation=deviation * year,
        lucky_sharpe=luck * year,
        deflated_sharpe=None if moments is None else probable_sharpe(moments, luck),
    )


def probable_sharpe(moments: Moments, benchmark: float) -> float | None:
    """Probability that the true ratio per bar is above `benchmark`, given skewness and kurtosis.

    Bailey & López de Prado 2012, "The Sharpe Ratio Efficient Frontier", eq. 11. None if the moments are
    too extreme for the formula.
    """
    sharpe = moments.sharpe
    spread = 1 - moments.skewness * sharpe + (moments.kurtosis - 1) / 4 * sharpe**2
    if spread <= 0:
        return None
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt((moments.periods - 1) / spread))


def expected_maximum(num_trials: int) -> float:
    """About the largest of `num_trials` standard normal values that luck gives; 0 for a single one."""
    if num_trials == 1:
        return 0.0
    low, high = 1 - 1 / num_trials, 1 - 1 / (num_trials * math.e)
    return (1 - _EULER) * _NORMAL.inv_cdf(low) + _EULER * _NORMAL.inv_cdf(high)


def _sum_blocks(prefix: FloatArray, starts: IntArray, lengths: IntArray) -> FloatArray:
    """Sums [C, samples] over blocks that wrap around the end, from prefix sums [C, T + 1]."""
    rounds, ends = np.divmod(starts + lengths, prefix.shape[1] - 1)
    sums = [(row[ends] - row[starts] + rounds * row[-1]).sum(axis=1) for row in prefix]
    return np.stack(sums)


def _sharpes(returns: FloatArray, mean: FloatArray, mean_square: FloatArray, year: float) -> FloatArray:
    """Annual Sharpe ratios [samples] from the means of centred returns and of their squares; NaN if none."""
    count = len(returns)
    variance = (mean_square - mean**2) * count / max(1, count - 1)
    moved = variance > _SMALLEST_VARIANCE
    ratio = (returns.mean() + mean) / np.sqrt(np.where(moved, variance, 1.0)) * math.sqrt(year)
    return np.where(moved, ratio, np.nan)


def _interval(values: FloatArray) -> Interval | None:
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = np.percentile(known, (2.5, 97.5))
    return Interval(float(low), float(high))
