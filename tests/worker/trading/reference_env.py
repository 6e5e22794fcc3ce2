"""A slow environment in plain Python floats: one account, one bar at a time, written from the rules alone.

It is told prices and risk as lists and where decisions are allowed; it imports nothing of the trading code and
shares no arithmetic with it. The rules: observe bar t after its close, fill at the open of t+1, be rewarded for
the way to the open of t+2; a position is a fraction of equity; a fill costs its distance times the rate; a short
position pays for its notional per bar; nothing crosses a segment; ruin terminates, length and end truncate.
"""

import math
from dataclasses import dataclass, field


@dataclass
class ReferenceMarket:
    """One asset or several laid end to end; every list has an entry for each bar."""

    open: list[float]
    close: list[float]
    sigma: list[float]
    natr: list[float]
    bars_per_year: list[float]
    last_decision: dict[int, int]
    """Row of an allowed decision -> the last one of its segment and span."""


@dataclass
class ReferenceRules:
    """What the user chose; rates in the units of the request."""

    fee_bps: float
    half_spread_bps: float
    slippage: float
    borrow_bps_per_year: float
    grid: list[float] | None
    """Positions of the actions; None for a continuous position between `low` and `high`."""
    low: float
    high: float
    sharpe_rate: float | None
    """Adaptation rate of the differential Sharpe ratio; None rewards the log return."""
    episode_length: int
    ruin_equity: float

    def position(self, action: float) -> float:
        """The position that an action asks for."""
        if self.grid is not None:
            return self.grid[int(action)]
        return self.low if action < self.low else min(action, self.high)


@dataclass
class ReferenceStep:
    """What one step gave."""

    reward: float
    log_return: float
    cost: float
    terminated: bool
    truncated: bool


@dataclass
class ReferenceEpisode:
    """One account from a fresh start at a row to its end."""

    market: ReferenceMarket
    rules: ReferenceRules
    row: int
    position: float = 0.0
    equity: float = 1.0
    entry: float = 1.0
    peak: float = 1.0
    held: int = 0
    steps: int = 0
    mean_return: float = 0.0
    mean_square: float = 0.0
    seen: list[list[float]] = field(default_factory=list)
    """Account features after each step: position, profit, time held, drawdown, last trade."""

    def step(self, action: float) -> ReferenceStep:
        """Decide after the close of `row`."""
        rules, market, decided = self.rules, self.market, self.row
        target = rules.position(action)
        traded = abs(target - self.position)
        rate = rules.fee_bps / 10_000 + rules.half_spread_bps / 10_000 + rules.slippage * market.natr[decided]
        paid = traded * rate
        interest = 0.0
        if target < 0:
            interest = abs(target) * rules.borrow_bps_per_year / 10_000 / market.bars_per_year[decided]
        filled_at = market.open[decided + 1]
        start = self.equity
        at_close = self._grow(target, market.close[decided + 1] / filled_at, paid, interest)
        self.equity = self._grow(target, market.open[decided + 2] / filled_at, paid, interest, base=start)
        self._note_holding(target, start)
        self.peak = max(self.peak, at_close)
        self._look(at_close, decided + 1, traded)
        self.row, self.steps = decided + 1, self.steps + 1
        log_return = math.log(self.equity / start)
        ruined = self.equity <= rules.ruin_equity
        over = decided == market.last_decision[decided] or self.steps >= rules.episode_length
        return ReferenceStep(
            self._reward(log_return), log_return, paid + interest, ruined, over and not ruined
        )

    def _grow(
        self, target: float, ratio: float, paid: float, interest: float, base: float | None = None
    ) -> float:
        """Equity after the fill and the move; a bar leaves a millionth at least."""
        before = self.equity if base is None else base
        after_costs = before * (1 - paid)
        profit = after_costs * target * (ratio - 1)
        return max(after_costs + profit - after_costs * interest, before * 1e-6)

    def _note_holding(self, target: float, start: float) -> None:
        same_direction = target * self.position > 0
        if target == 0:
            self.entry, self.held = start, 0
        elif same_direction:
            self.held += 1
        else:
            self.entry, self.held = start, 1
        self.position = target

    def _look(self, marked: float, row: int, traded: float) -> None:
        risk = self.market.sigma[row] * math.sqrt(self.held)
        profit = 0.0
        if self.held > 0 and risk > 0:
            profit = math.log(marked / self.entry) / risk
        profit = max(-10.0, min(10.0, profit))
        drawdown = (self.peak - marked) / self.peak
        self.seen.append([self.position, profit, math.tanh(self.held / 100), drawdown, traded])

    def _reward(self, log_return: float) -> float:
        rate = self.rules.sharpe_rate
        if rate is None:
            return log_return
        mean, square = self.mean_return, self.mean_square
        self.mean_return = mean + rate * (log_return - mean)
        self.mean_square = square + rate * (log_return**2 - square)
        variance = square - mean * mean
        if variance <= 1e-18:
            return 0.0
        return (square * (log_return - mean) - mean * (log_return**2 - square) / 2) / variance**1.5
