"""A policy stepped through long ranges in lanes side by side, with the result of stepping bar after bar.

A decision depends on the account, so on all decisions before it; yet a lane that begins in the middle only
needs the account there. All lanes are walked at once from guessed accounts. From the decisions that come out
each lane's true starting account is reckoned in closed form, and lanes whose start was wrong are walked again,
until no decision changes: then every lane began with the account that the lane before it ended with. The first
lane is right at once and each pass settles one more at the least; as a rule two or three passes settle all.

Shape suffixes: P lanes, S steps, K decisions of one range, L lookback, F account features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from app.market.performance import FloatArray
from app.market.schema import ACCOUNT_FEATURES
from app.market.trading import EnvSpec
from worker.trading.account import Account, cost_rates, fill, measure_account, net_growth, open_accounts
from worker.trading.market import MarketTensors
from worker.trading.targets import make_grid, to_targets

PolicyFunction = Callable[[Tensor], Tensor]
"""Observations float32 [B, D] -> actions: int64 [B], or float32 [B, 1] for a gaussian policy's mean."""

LANE_BARS = 1_000
"""Fewest decisions of a lane; a shorter range is one lane."""

MAX_LANES = 512
"""Most lanes of one range."""

SAME_TARGET = 1e-9
"""Positions closer than this are the same decision: a gaussian policy's differ in the last bits."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Decisions at rows start..stop-1 of range number `of`."""

    of: int
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Starts:
    """Where lanes begin: their accounts and the account features seen before, one of each per lane."""

    account: Account
    window_PLF: Tensor


@torch.no_grad()
def walk_ranges(
    policy: PolicyFunction, market: MarketTensors, spec: EnvSpec, ranges: Sequence[tuple[int, int]]
) -> list[FloatArray]:
    """Log returns, positions, costs and ruin (0 or 1) [4, K] of a fresh account in each range of rows."""
    lanes = [lane for place, rows in enumerate(ranges) for lane in _split(place, *rows)]
    starts = _fresh_starts(market, len(lanes))
    records = _walk_lanes(policy, market, spec, lanes, starts)
    wrong = [place for place, lane in enumerate(lanes) if lane.start != ranges[lane.of][0]]
    while wrong:
        starts = _reckon_starts(market, spec, ranges, lanes, records)
        again = _walk_lanes(policy, market, spec, [lanes[p] for p in wrong], _pick(starts, wrong))
        changed = {p for p, new in zip(wrong, again, strict=True) if _differ(records[p], new)}
        for place, new in zip(wrong, again, strict=True):
            records[place] = new
        wrong = [p for p in wrong if any(q < p and lanes[q].of == lanes[p].of for q in changed)]
    joined = [[r for r, lane in zip(records, lanes, strict=True) if lane.of == k] for k in range(len(ranges))]
    return [torch.cat(parts, dim=1).cpu().numpy() for parts in joined]


def _split(place: int, start: int, stop: int) -> list[Lane]:
    length = max(LANE_BARS, -(-(stop - start) // MAX_LANES))
    return [Lane(place, first, min(first + length, stop)) for first in range(start, stop, length)]


def _walk_lanes(
    policy: PolicyFunction, market: MarketTensors, spec: EnvSpec, lanes: Sequence[Lane], starts: Starts
) -> list[Tensor]:
    """The records [4, S] of each lane, all stepped side by side."""
    first_P = torch.tensor([lane.start for lane in lanes], device=market.device)
    last_P = torch.tensor([lane.stop - 1 for lane in lanes], device=market.device)
    steps = max(lane.stop - lane.start for lane in lanes)
    columns = _columns(market)
    grid = make_grid(spec.actions, market.device)
    account, window = starts.account, starts.window_PLF
    records = torch.zeros((4, steps, len(lanes)), dtype=torch.float64, device=market.device)
    for step in range(steps):
        t_P = torch.minimum(
            first_P + step, last_P
        )  # a shorter lane repeats its last bar; it is cut off below
        target_P = to_targets(policy(market.observe(t_P, window)), spec.actions, grid)
        ruined_P = account.equity <= spec.ruin_equity
        filled = fill(account, market, spec.costs, t_P, target_P.masked_fill(ruined_P, 0.0))
        stopped = (filled.log_return_N, filled.account.position, filled.cost_N)
        records[:3, step] = torch.stack([value.masked_fill(ruined_P, 0.0) for value in stopped])
        records[3, step] = filled.account.equity <= spec.ruin_equity
        account = filled.account
        window = torch.cat([window[:, 1:], filled.seen_NK[:, None, columns]], dim=1)
    return [records[:, : lane.stop - lane.start, place] for place, lane in enumerate(lanes)]


def _reckon_starts(
    market: MarketTensors,
    spec: EnvSpec,
    ranges: Sequence[tuple[int, int]],
    lanes: Sequence[Lane],
    records: Sequence[Tensor],
) -> Starts:
    """The account before each lane's first decision, given the positions of all lanes before it."""
    found = []
    for place, (start, stop) in enumerate(ranges):
        parts = [record[1] for record, lane in zip(records, lanes, strict=True) if lane.of == place]
        rows_K = torch.arange(start, stop, device=market.device)
        account, seen_KF = replay(market, spec, rows_K, torch.cat(parts))
        ends = [lane.start - start for lane in lanes if lane.of == place]
        found.append(_cut_starts(market, account, seen_KF, ends))
    columns = {item.name: [getattr(each.account, item.name) for each in found] for item in fields(Account)}
    account = Account(**{name: torch.cat(values) for name, values in columns.items()})
    return Starts(account, torch.cat([each.window_PLF for each in found]))


def replay(market: MarketTensors, spec: EnvSpec, rows_K: Tensor, target_K: Tensor) -> tuple[Account, Tensor]:
    """The account after each fill of given positions at consecutive rows, and its features float32 [K, F].

    `fill` once for all bars: equity is a running product, its peak a running maximum, and a direction's
    entry the last bar that did not carry it on.
    """
    before_K = torch.cat([torch.zeros_like(target_K[:1]), target_K[:-1]])
    moved_K = (target_K - before_K).abs()
    paid_K, borrow_K = cost_rates(market, spec.costs, rows_K, moved_K, target_K)
    opened, closed, following = (
        market.open_T[rows_K + 1],
        market.close_T[rows_K + 1],
        market.open_T[rows_K + 2],
    )
    equity_K = net_growth(target_K, following / opened, paid_K, borrow_K).cumprod(0)
    earlier_K = torch.cat([torch.ones_like(equity_K[:1]), equity_K[:-1]])
    marked_K = earlier_K * net_growth(target_K, closed / opened, paid_K, borrow_K)
    carried_K = (target_K.sign() == before_K.sign()) & (target_K != 0)
    place_K = torch.arange(len(rows_K), device=market.device)
    entry_K = torch.where(carried_K, 0, place_K).cummax(0).values
    account = Account(
        position=target_K,
        equity=equity_K,
        entry_equity=earlier_K[entry_K],
        peak_equity=marked_K.cummax(0).values.clamp(min=1.0),
        bars_held=torch.where(target_K == 0, 0, place_K - entry_K + 1),
    )
    features = measure_account(account, marked_K, market.sigma_T[rows_K + 1], moved_K)
    return account, features.to(torch.float32)


def _cut_starts(market: MarketTensors, account: Account, seen_KF: Tensor, ends: Sequence[int]) -> Starts:
    """Accounts and windows just before decisions number `ends` of a range; fresh ones before number 0."""
    fresh = open_accounts(1, market.device)
    padded = {
        item.name: torch.cat([getattr(fresh, item.name), getattr(account, item.name)])
        for item in fields(Account)
    }
    at = torch.tensor(ends, device=market.device)
    lookback = market.schema.lookback
    seen_KF = seen_KF[:, _columns(market)]
    history = torch.cat([torch.zeros((lookback, seen_KF.shape[1]), device=market.device), seen_KF])
    rows_PL = at[:, None] + torch.arange(lookback, device=market.device)
    return Starts(Account(**{name: values[at] for name, values in padded.items()}), history[rows_PL])


def _fresh_starts(market: MarketTensors, count: int) -> Starts:
    shape = (count, market.schema.lookback, len(_columns(market)))
    return Starts(open_accounts(count, market.device), torch.zeros(shape, device=market.device))


def _pick(starts: Starts, places: Sequence[int]) -> Starts:
    at = torch.tensor(places, device=starts.window_PLF.device)
    account = Account(**{item.name: getattr(starts.account, item.name)[at] for item in fields(Account)})
    return Starts(account, starts.window_PLF[at])


def _columns(market: MarketTensors) -> list[int]:
    return [ACCOUNT_FEATURES.index(name) for name in market.schema.account]


def _differ(one: Tensor, other: Tensor) -> bool:
    return bool(((one[1] - other[1]).abs() > SAME_TARGET).any())
