"""Bar by bar through whole spans: what a policy, or given positions, would have earned.

Shape suffixes: K decisions, S some of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from app.market.performance import BoolArray, FloatArray, Performance, measure_performance
from app.market.splits import Span
from app.market.trading import EnvSpec
from worker.trading.account import cost_rates, net_growth
from worker.trading.lanes import PolicyFunction, walk_ranges
from worker.trading.market import MarketTensors

BARS_AT_ONCE = 2**17
"""Bars whose growth is reckoned at once: what that takes in between is small beside what is kept of a long span."""


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
    walks = {}
    for name, group in groupby(ranges, key=lambda each: each[0]):
        rows = [np.arange(start, stop, dtype=np.float64) for _, start, stop in group]
        of_span, records = records[: len(rows)], records[len(rows) :]
        logs, positions, costs, ruined = of_span[0] if len(rows) == 1 else np.concatenate(of_span, axis=1)
        walks[name] = Walk(np.concatenate(rows), logs, positions, costs, bool(ruined.any()))
    return walks


def walk_targets(market: MarketTensors, rows_K: Tensor, target_K: Tensor, spec: EnvSpec) -> Walk:
    """Hold given positions at given rows, from a flat account at the first row and after every gap.

    The same cost and growth functions as the environment's; a ruin stops nothing.
    """
    logs, costs = np.empty(len(rows_K)), np.empty(len(rows_K))
    before_K = shift_targets(rows_K, target_K)
    for first in range(0, len(rows_K), BARS_AT_ONCE):
        some = slice(first, first + BARS_AT_ONCE)
        rows_S, target_S = rows_K[some], target_K[some]
        paid_S, borrow_S = cost_rates(market, spec.costs, rows_S, (target_S - before_K[some]).abs(), target_S)
        ratio_S = market.open_T[rows_S + 2] / market.open_T[rows_S + 1]
        logs[some] = net_growth(target_S, ratio_S, paid_S, borrow_S).log().cpu().numpy()
        costs[some] = (paid_S + borrow_S).cpu().numpy()
    return Walk(rows_K.double().cpu().numpy(), logs, target_K.cpu().numpy(), costs, ruined=False)


def shift_targets(rows_K: Tensor, target_K: Tensor) -> Tensor:
    """The position held one bar before each row: 0 at the first row and after every gap."""
    return target_K.roll(1).masked_fill_(starts_fresh(rows_K), 0.0)


def starts_fresh(rows_K: Tensor) -> Tensor:
    """Rows at which an account starts anew, bool [K]: the first, and those after a gap."""
    fresh_K = torch.ones_like(rows_K, dtype=torch.bool)
    torch.ne(rows_K[1:] - rows_K[:-1], 1, out=fresh_K[1:])
    return fresh_K
