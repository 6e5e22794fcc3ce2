"""Performance: net returns per bar -> the figures that a strategy is judged by.

Checked against empyrical-reloaded in the tests. Undefined figures are None, never 0 or infinity.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from app.errors import InvalidInput
from app.network.shape import DOCUMENTED

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_NOISE = 1e-14  # a deviation below this is rounding, not risk


@dataclass(frozen=True, slots=True)
class Performance:
    """How a strategy did over a span, after costs; annual figures use the calendar's bars per year."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    periods: int
    """Bars in the span."""
    years: float
    """Trading years that these bars are."""
    total_return: float
    """Final equity over initial equity, less 1."""
    cagr: float | None
    """Return per year, compounded; null if the equity was lost or too large to tell."""
    volatility: float | None
    """Deviation of the bars' returns, per year; null for fewer than 2 bars."""
    sharpe: float | None
    """Mean over deviation of the bars' returns, per year, without a risk-free rate; null if nothing moved."""
    sortino: float | None
    """Mean over downside deviation (target 0), per year; null if no bar lost."""
    max_drawdown: float
    """Largest fall of equity from its peak, 0 or negative."""
    calmar: float | None
    """cagr over |max_drawdown|; null without a drawdown."""
    turnover: float
    """Sum of |Δposition| per year, in multiples of equity."""
    cost_paid: float
    """Fees, spread, slippage and borrowing, summed as fractions of the equity when they were paid."""
    exposure: float
    """Mean |position|, 0 to 1."""
    hit_rate: float | None
    """Part of the bars with a position whose net return was above 0; null if there were none."""
    trades: int
    """Fills: bars at whose open the position changed."""


def measure_performance(
    returns: FloatArray,
    positions: FloatArray,
    costs: FloatArray,
    periods_per_year: float,
    *,
    fresh: BoolArray | None = None,
) -> Performance:
    """Judge simple net returns [T], the positions held in them [T] and the costs within them [T].

    The account is flat before the first bar and before each bar that is `fresh` [T], such as one that
    follows a gap: a position there counts as a fill unless it is 0. Raises InvalidInput for empty arrays,
    unequal lengths or values that are not finite.
    """
    _check_arrays(returns, positions, costs)
    years = len(returns) / periods_per_year
    growth = float(np.prod(1 + returns))
    drawdown = max_drawdown(returns)
    annual = _compound(growth, years)
    before = np.concatenate([[0.0], positions[:-1]])
    moves = np.abs(positions - (before if fresh is None else np.where(fresh, 0.0, before)))
    held = positions != 0
    return Performance(
        periods=len(returns),
        years=years,
        total_return=growth - 1,
        cagr=annual,
        volatility=volatility(returns, periods_per_year),
        sharpe=sharpe_ratio(returns, periods_per_year),
        sortino=sortino_ratio(returns, periods_per_year),
        max_drawdown=drawdown,
        calmar=annual / -drawdown if annual is not None and drawdown < 0 else None,
        turnover=float(moves.sum()) / years,
        cost_paid=float(costs.sum()),
        exposure=float(np.abs(positions).mean()),
        hit_rate=float((returns[held] > 0).mean()) if held.any() else None,
        trades=int((moves > 0).sum()),
    )


def volatility(returns: FloatArray, periods_per_year: float) -> float | None:
    """Sample deviation of the returns times √periods_per_year."""
    if len(returns) < 2:
        return None
    return float(returns.std(ddof=1) * math.sqrt(periods_per_year))


def sharpe_ratio(returns: FloatArray, periods_per_year: float) -> float | None:
    """Mean / sample deviation · √periods_per_year (Sharpe 1994), no risk-free rate."""
    deviation = returns.std(ddof=1) if len(returns) > 1 else 0.0
    return float(returns.mean() / deviation * math.sqrt(periods_per_year)) if deviation > _NOISE else None


def sortino_ratio(returns: FloatArray, periods_per_year: float) -> float | None:
    """Mean / √mean(min(r, 0)²) · √periods_per_year (Sortino & Price 1994), target 0."""
    downside = math.sqrt(float((np.minimum(returns, 0.0) ** 2).mean()))
    return float(returns.mean() / downside * math.sqrt(periods_per_year)) if downside > _NOISE else None


def max_drawdown(returns: FloatArray) -> float:
    """Largest fall of compounded equity from its peak, 0 or negative; the start counts as a peak."""
    equity = np.concatenate([[1.0], np.cumprod(1 + returns)])
    return float((equity / np.maximum.accumulate(equity) - 1).min())


def _compound(growth: float, years: float) -> float | None:
    if growth <= 0:
        return None
    exponent = math.log(growth) / years
    return math.expm1(exponent) if exponent < 700 else None  # e^700 is near the largest float


def _check_arrays(returns: FloatArray, positions: FloatArray, costs: FloatArray) -> None:
    lengths = {len(returns), len(positions), len(costs)}
    if len(lengths) != 1 or not len(returns):
        detail = f"{len(returns)} returns, {len(positions)} positions, {len(costs)} costs"
        raise InvalidInput(detail, hint="give one of each per bar, for 1 bar or more", pointer="returns")
    for name, values in (("returns", returns), ("positions", positions), ("costs", costs)):
        if not np.isfinite(values).all():
            raise InvalidInput(
                f"{name} holds values that are not finite", hint="finite numbers", pointer=name
            )
