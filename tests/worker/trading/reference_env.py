"""A slow environment in pure Python float64: one account, one step at a time, written from the rules.

It shares no arithmetic with worker/trading; the two must agree within 1e-9.
"""

import math
from dataclasses import dataclass, field

from app.market.bars import Bars
from app.market.trading import Costs


@dataclass
class ReferenceAccount:
    bars: Bars
    sigma: list[float]
    natr: list[float]
    costs: Costs
    row: int
    last_row: int
    episode_length: int
    ruin_equity: float
    position: float = 0.0
    equity: float = 1.0
    entry: float = 1.0
    peak: float = 1.0
    held: int = 0
    steps: int = 0
    seen: list[list[float]] = field(default_factory=list)

    def step(self, target: float) -> tuple[float, float, bool, bool]:
        """Net log return, cost, terminated, truncated."""
        t = self.row
        before = self.equity
        fill_price = float(self.bars.open[t + 1])
        moved = abs(target - self.position)
        per_unit = (
            self.costs.fee_bps + self.costs.half_spread_bps
        ) / 10_000 + self.costs.slippage * self.natr[t]
        paid = moved * per_unit
        borrow = 0.0
        if target < 0:
            borrow = -target * self.costs.borrow_bps_per_year / 10_000 / self.bars.periods_per_year
        seen_equity = before * self._growth(target, float(self.bars.close[t + 1]) / fill_price, paid, borrow)
        self.equity = before * self._growth(target, float(self.bars.open[t + 2]) / fill_price, paid, borrow)
        if target == 0:
            self.entry, self.held = before, 0
        elif target * self.position > 0:
            self.held += 1
        else:
            self.entry, self.held = before, 1
        self.position = target
        self.peak = max(self.peak, seen_equity)
        self._see(seen_equity, t + 1, moved)
        self.row, self.steps = t + 1, self.steps + 1
        ruined = self.equity <= self.ruin_equity
        over = t == self.last_row or self.steps == self.episode_length
        return math.log(self.equity / before), paid + borrow, ruined, over and not ruined

    @staticmethod
    def _growth(target: float, ratio: float, paid: float, borrow: float) -> float:
        return max((1 - paid) * (1 + target * (ratio - 1) - borrow), 1e-6)

    def _see(self, equity: float, row: int, moved: float) -> None:
        profit = 0.0
        if self.held:
            profit = math.log(equity / self.entry) / (self.sigma[row] * math.sqrt(self.held))
        profit = min(max(profit, -10.0), 10.0)
        drawdown = 1 - equity / self.peak
        self.seen.append([self.position, profit, math.tanh(self.held / 100), drawdown, moved])
