"""Bar by bar through whole spans: what a policy, or given positions, would have earned.

Shape suffix: K decisions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from app.market.performance import BoolArray, FloatArray, Performance, measure_performance
from app.market.splits import Span
from app.market.trading import EnvSpec
from worker.trading.account import cost_rates, net_growth
from worker.trading.lanes import PolicyFunction, walk_ranges
from worker.trading.market import MarketTensors


@dataclass(frozen=True, slots=True)
class Walk:
    """What happened bar by bar, in the order of time; float64 arrays of one length."""

    rows: FloatArray
    log_returns: FloatArray
    positions: FloatArray
    costs: FloatArray
    ruined: bool

    def measure(self, periods_per_year: float) -> Performance:
        """The figures of this walk."""
        returns = np.expm1(self.log_returns)
        return measure_performance(returns, self.positions, self.costs, periods_per_year, fresh=self.fresh)

    @property
    def fresh(self) -> BoolArray:
        """Bars at which the account starts anew: the first, and those after a gap."""
        return np.asarray(np.diff(self.rows, prepend=-2.0) != 1)


def walk_policy(
    policy: PolicyFunction, market: MarketTensors, spans: Mapping[str, Span], spec: EnvSpec
) -> dict[str, Walk]:
    """Step one fresh account through each range of each span; the money is `fill`'s."""
    ranges = [(name, *rows) for name, span in spans.items() for rows in market.ranges(span)]
    records = walk_ranges(policy, market, spec, [(start, stop) for _, start, stop in ranges])
    walks: dict[str, list[FloatArray]] = {name: [] for name in spans}
    for (name, start, stop), record in zip(ranges, records, strict=True):
        walks[name].append(np.vstack([np.arange(start, stop, dtype=np.float64), record]))
    return {name: _join(parts) for name, parts in walks.items()}


def walk_targets(market: MarketTensors, rows_K: Tensor, target_K: Tensor, spec: EnvSpec) -> Walk:
    """Hold given positions at given rows, from a flat account at the first row and after every gap.

    The same cost and growth functions as the environment's, over all bars at once; a ruin stops nothing.
    """
    moved_K = (target_K - shift_targets(rows_K, target_K)).abs()
    paid_K, borrow_K = cost_rates(market, spec.costs, rows_K, moved_K, target_K)
    ratio_K = market.open_T[rows_K + 2] / market.open_T[rows_K + 1]
    logs_K = net_growth(target_K, ratio_K, paid_K, borrow_K).log()
    values = (rows_K.to(torch.float64), logs_K, target_K, paid_K + borrow_K)
    rows, logs, positions, costs = (value.cpu().numpy() for value in values)
    return Walk(rows, logs, positions, costs, ruined=False)


def shift_targets(rows_K: Tensor, target_K: Tensor) -> Tensor:
    """The position held one bar before each row: 0 at the first row and after every gap."""
    before_K = torch.cat([torch.zeros_like(target_K[:1]), target_K[:-1]])
    fresh_K = torch.cat([torch.ones_like(rows_K[:1]), rows_K[1:] - rows_K[:-1]]) != 1
    return torch.where(fresh_K, 0.0, before_K)


def _join(parts: list[FloatArray]) -> Walk:
    rows, logs, positions, costs, ruined = np.concatenate(parts, axis=1)
    return Walk(rows, logs, positions, costs, bool(ruined.any()))
