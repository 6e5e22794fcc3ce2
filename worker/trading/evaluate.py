"""A deterministic policy over whole spans on fresh accounts, with its baselines beside it.

Shape suffixes: R ranges (one per span and segment) walked side by side, K steps, D obs_dim.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import torch
from torch import Tensor

from app.errors import InvalidInput
from app.market.evaluation import Evaluation, SpanResult, judge, newey_west_t
from app.market.performance import FloatArray, Performance, measure_performance
from app.market.schema import ACCOUNT_FEATURES
from app.market.splits import Span
from app.market.trading import DEFAULT_ENV, EnvSpec
from worker.trading.account import cost_rates, fill, net_growth, open_accounts
from worker.trading.market import MarketTensors
from worker.trading.targets import make_grid, to_targets

PolicyFunction = Callable[[Tensor], Tensor]
"""Observations float32 [B, D] -> actions: int64 [B], or float32 [B, 1] for a gaussian policy's mean."""


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
        return measure_performance(np.expm1(self.log_returns), self.positions, self.costs, periods_per_year)


def evaluate(
    policy: PolicyFunction, market: MarketTensors, spans: Mapping[str, Span], spec: EnvSpec = DEFAULT_ENV
) -> Evaluation:
    """Judge a policy on spans (such as `fold.spans()`), in the order given: training first, test last.

    A position left at the end of a span or segment is marked to the last open, not closed. Raises
    InvalidInput without spans, InvalidDataset for a span that allows no decision.
    """
    if not spans:
        raise InvalidInput("there is no span to evaluate on", hint="give 1 span or more", pointer="spans")
    walks = walk_policy(policy, market, spans, spec)
    results = tuple(_judge_span(name, walk, market, spec) for name, walk in walks.items())
    free = spec.costs.free
    return Evaluation(spec, free, results, judge(results, before_costs=free))


def walk_policy(
    policy: PolicyFunction, market: MarketTensors, spans: Mapping[str, Span], spec: EnvSpec
) -> dict[str, Walk]:
    """Step one fresh account through each range of each span, all side by side; the money is `fill`'s."""
    ranges = [(name, *rows) for name, span in spans.items() for rows in market.ranges(span)]
    first_R = torch.tensor([start for _, start, _ in ranges], device=market.device)
    last_R = torch.tensor([stop - 1 for _, _, stop in ranges], device=market.device)
    records = _walk_ranges(policy, market, spec, first_R, last_R)
    walks: dict[str, list[FloatArray]] = {name: [] for name in spans}
    for index, (name, start, stop) in enumerate(ranges):
        rows = np.arange(start, stop, dtype=np.float64)
        walks[name].append(np.vstack([rows, records[:, : stop - start, index]]))
    return {name: _join(parts) for name, parts in walks.items()}


def walk_targets(market: MarketTensors, rows_K: Tensor, target_K: Tensor, spec: EnvSpec) -> Walk:
    """Hold given positions at given rows, from a flat account at the first row and after every gap.

    The same cost and growth functions as the environment's, over all bars at once.
    """
    before_K = torch.cat([torch.zeros_like(target_K[:1]), target_K[:-1]])
    fresh_K = torch.cat([torch.ones_like(rows_K[:1]), rows_K[1:] - rows_K[:-1]]) != 1
    moved_K = (target_K - torch.where(fresh_K, 0.0, before_K)).abs()
    paid_K, borrow_K = cost_rates(market, spec.costs, rows_K, moved_K, target_K)
    ratio_K = market.open_T[rows_K + 2] / market.open_T[rows_K + 1]
    logs_K = net_growth(target_K, ratio_K, paid_K, borrow_K).log()
    values = (rows_K.to(torch.float64), logs_K, target_K, paid_K + borrow_K)
    rows, logs, positions, costs = (value.cpu().numpy() for value in values)
    return Walk(rows, logs, positions, costs, ruined=False)


def cross_averages(market: MarketTensors, rows_K: Tensor, fast: int = 20, slow: int = 100) -> Tensor:
    """1 where the fast average of closes up to each row is above the slow one, else 0; float64 [K]."""
    total = torch.cat([torch.zeros_like(market.close_T[:1]), market.close_T.cumsum(0)])
    averages = [(total[rows_K + 1] - total[rows_K + 1 - bars]) / bars for bars in (fast, slow)]
    return (averages[0] > averages[1]).to(torch.float64)


@torch.no_grad()
def _walk_ranges(
    policy: PolicyFunction, market: MarketTensors, spec: EnvSpec, first_R: Tensor, last_R: Tensor
) -> FloatArray:
    count, steps = len(first_R), int((last_R - first_R).max()) + 1
    schema = market.schema
    columns = [ACCOUNT_FEATURES.index(name) for name in schema.account]
    grid = make_grid(spec.actions, market.device)
    window = torch.zeros((count, schema.lookback, len(columns)), device=market.device)
    account = open_accounts(count, market.device)
    records = torch.zeros((4, steps, count), dtype=torch.float64, device=market.device)
    for step in range(steps):
        t_R = torch.minimum(
            first_R + step, last_R
        )  # a shorter range repeats its last bar; it is cut off later
        target_R = to_targets(policy(market.observe(t_R, window)), spec.actions, grid)
        ruined_R = account.equity <= spec.ruin_equity
        filled = fill(account, market, spec.costs, t_R, target_R.masked_fill(ruined_R, 0.0))
        stopped = (filled.log_return_N, filled.account.position, filled.cost_N)
        records[:3, step] = torch.stack([value.masked_fill(ruined_R, 0.0) for value in stopped])
        records[3, step] = filled.account.equity <= spec.ruin_equity
        account = filled.account
        window = torch.cat([window[:, 1:], filled.seen_NK[:, None, columns]], dim=1)
    return records.cpu().numpy()


def _join(parts: list[FloatArray]) -> Walk:
    rows, logs, positions, costs, ruined = np.concatenate(parts, axis=1)
    return Walk(rows, logs, positions, costs, bool(ruined.any()))


def _judge_span(name: str, walk: Walk, market: MarketTensors, spec: EnvSpec) -> SpanResult:
    rows_K = torch.tensor(walk.rows, device=market.device).long()
    always = torch.ones(len(rows_K), dtype=torch.float64, device=market.device)
    holding = walk_targets(market, rows_K, always, spec)
    flat = walk_targets(market, rows_K, torch.zeros_like(always), spec)
    crossing = walk_targets(market, rows_K, cross_averages(market, rows_K), spec)
    excess = walk.log_returns - holding.log_returns
    year = market.periods_per_year
    return SpanResult(
        name=name,
        first_bar=_iso(market, int(walk.rows[0])),
        last_bar=_iso(market, int(walk.rows[-1])),
        ruined=walk.ruined,
        policy=walk.measure(year),
        flat=flat.measure(year),
        buy_and_hold=holding.measure(year),
        sma_cross=crossing.measure(year),
        excess_per_year=float(excess.mean()) * year,
        excess_t=newey_west_t(excess),
    )


def _iso(market: MarketTensors, row: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(market.utc_us[row]))
    return moment.isoformat()
