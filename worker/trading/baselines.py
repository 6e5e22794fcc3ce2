"""What a policy is compared with: buy & hold, a moving-average cross, chance, and worse conditions.

Shape suffixes: K decisions of one span, S some of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from app.market.evaluation import Quantiles, RandomBaseline, StressResult
from app.market.performance import FloatArray, sharpe_ratio
from app.market.trading import MAX_COST, Costs, EnvSpec
from worker.trading.account import cost_rates, net_growth
from worker.trading.market import MarketTensors
from worker.trading.walk import BARS_AT_ONCE, Walk, shift_targets, starts_fresh, walk_targets

RANDOM_DRAWS = 100
"""Random baselines of one span: enough for 5 % and 95 % quantiles."""

COST_FACTORS = (0.0, 1.0, 2.0, 5.0)
"""Stress: every cost times these."""

DELAY_BARS = 1
"""Stress: fills this much later."""


@dataclass(frozen=True, slots=True)
class Baselines:
    """Walks over the policy's own rows."""

    flat: Walk
    buy_and_hold: Walk
    sma_cross: Walk


def walk_baselines(market: MarketTensors, rows_K: Tensor, spec: EnvSpec) -> Baselines:
    """Never in the market, always fully long, and the 20/100 cross; at the same costs as the policy."""
    always = torch.ones(len(rows_K), dtype=torch.float64, device=market.device)
    return Baselines(
        flat=walk_targets(market, rows_K, torch.zeros_like(always), spec),
        buy_and_hold=walk_targets(market, rows_K, always, spec),
        sma_cross=walk_targets(market, rows_K, cross_averages(market, rows_K), spec),
    )


def cross_averages(market: MarketTensors, rows_K: Tensor, fast: int = 20, slow: int = 100) -> Tensor:
    """1 where the fast average of closes up to each row is above the slow one, else 0; float64 [K]."""
    total = torch.cat([torch.zeros_like(market.close_T[:1]), market.close_T.cumsum(0)])
    averages = [(total[rows_K + 1] - total[rows_K + 1 - bars]) / bars for bars in (fast, slow)]
    return (averages[0] > averages[1]).to(torch.float64)


def draw_random(
    walk: Walk, market: MarketTensors, spec: EnvSpec, *, draws: int = RANDOM_DRAWS, seed: int = 1
) -> RandomBaseline:
    """The policy's sequence of positions, begun at random places: its turnover and exposure without its timing.

    A shift keeps how long each position is held; at the span's end the sequence wraps around.
    """
    rows_K, target_K = _placed(walk, market)
    grow = _growth_of(market, rows_K, spec)
    year = market.periods_per_year
    generator = np.random.default_rng(seed)
    shifts = generator.integers(1, max(2, len(rows_K)), size=draws)
    totals, sharpes = [], []
    for shift in shifts:
        growth = grow(target_K.roll(int(shift)))
        totals.append(float(np.expm1(np.log(growth).sum())))
        sharpes.append(sharpe_ratio(growth - 1.0, year))
    returns = np.array(totals)
    known = np.array([value for value in sharpes if value is not None])
    return RandomBaseline(
        draws=draws,
        total_return=_quantiles(returns),
        sharpe=_quantiles(known) if len(known) else None,
        beaten=float((np.expm1(walk.log_returns.sum()) > returns).mean()),
    )


def stress(walk: Walk, market: MarketTensors, spec: EnvSpec) -> tuple[StressResult, ...]:
    """The same decisions at other costs, and filled a bar later."""
    rows_K, target_K = _placed(walk, market)
    year = market.periods_per_year
    late_K = shift_targets(rows_K, target_K)
    cases = [(factor, 0, target_K) for factor in COST_FACTORS] + [(1.0, DELAY_BARS, late_K)]
    return tuple(
        StressResult(
            factor,
            delay,
            walk_targets(market, rows_K, targets, scale_costs(spec, factor)).measure(year),
        )
        for factor, delay, targets in cases
    )


def scale_costs(spec: EnvSpec, factor: float) -> EnvSpec:
    """The environment with every cost times a factor, as far as costs may go."""
    scaled = {item.name: min(getattr(spec.costs, item.name) * factor, MAX_COST) for item in fields(Costs)}
    return replace(spec, costs=Costs(**scaled))


def _growth_of(market: MarketTensors, rows_K: Tensor, spec: EnvSpec) -> Callable[[Tensor], FloatArray]:
    """`walk_targets`' growth of equity for any positions at these rows; prices and rates are looked up once."""
    one_K = torch.ones(len(rows_K), dtype=torch.float64, device=market.device)
    fill_rate_K, borrow_rate_K = cost_rates(market, spec.costs, rows_K, one_K, -one_K)
    ratio_K = market.open_T[rows_K + 2] / market.open_T[rows_K + 1]
    fresh_K = starts_fresh(rows_K)

    def grow(target_K: Tensor) -> FloatArray:
        growth = np.empty(len(target_K))
        before_K = target_K.roll(1).masked_fill_(fresh_K, 0.0)
        for first in range(0, len(target_K), BARS_AT_ONCE):
            some = slice(first, first + BARS_AT_ONCE)
            target_S = target_K[some]
            paid_S = (target_S - before_K[some]).abs() * fill_rate_K[some]
            borrow_S = (-target_S).clamp(min=0.0) * borrow_rate_K[some]
            growth[some] = net_growth(target_S, ratio_K[some], paid_S, borrow_S).cpu().numpy()
        return growth

    return grow


def _placed(walk: Walk, market: MarketTensors) -> tuple[Tensor, Tensor]:
    rows_K = torch.tensor(walk.rows, device=market.device).long()
    return rows_K, torch.tensor(walk.positions, dtype=torch.float64, device=market.device)


def _quantiles(values: FloatArray) -> Quantiles:
    low, median, high = np.percentile(values, (5, 50, 95))
    return Quantiles(float(low), float(median), float(high))
