"""A policy stepped through long ranges in lanes side by side, with the result of stepping bar after bar.

A decision depends on the account, so on all decisions before it; yet a lane that begins in the middle only
needs the account there. All lanes are walked at once from guessed accounts. From the decisions that come out
each lane's true starting account is reckoned in closed form, and lanes whose start was wrong are walked again,
until no decision changes: then every lane began with the account that the lane before it ended with. The first
lane is right at once and each pass settles one more at the least; as a rule two or three passes settle all.

Shape suffixes: P lanes, S steps, K decisions of one range, L lookback, F account features; 4 what is recorded.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from app.market.lane_lengths import lane_length
from app.market.performance import FloatArray
from app.market.schema import ACCOUNT_FEATURES
from app.market.trading import EnvSpec
from worker.trading.account import Account, cost_rates, fill, measure_account, net_growth, open_accounts
from worker.trading.market import MarketTensors
from worker.trading.targets import make_grid, to_targets

PolicyFunction = Callable[[Tensor], Tensor]
"""Observations float32 [B, D] -> actions: int64 [B], or float32 [B, 1] for a gaussian policy's mean."""

BLOCK_BYTES = 2**22
"""Records that stay on the device until they are copied to the host."""

REPLAY_BARS = 2**15
"""Decisions that are replayed at once, some 300 bytes each."""

SAME_TARGET = 1e-9
"""Positions closer than this are the same decision: a gaussian policy's differ in the last bits."""


class Lane(NamedTuple):
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
    records = [np.zeros((4, stop - start)) for start, stop in ranges]
    parts = [records[of][:, start - ranges[of][0] : stop - ranges[of][0]] for of, start, stop in lanes]
    _walk_lanes(policy, market, spec, lanes, _fresh_starts(market, len(lanes)), parts)
    wrong = [place for place, lane in enumerate(lanes) if lane.start != ranges[lane.of][0]]
    while wrong:
        starts = _pick(_reckon_starts(market, spec, lanes, records), wrong)
        again, into = [lanes[p] for p in wrong], [parts[p] for p in wrong]
        changed = {wrong[k] for k in _walk_lanes(policy, market, spec, again, starts, into)}
        wrong = [p for p in wrong if any(q < p and lanes[q].of == lanes[p].of for q in changed)]
    return records


def _split(place: int, start: int, stop: int) -> list[Lane]:
    length = lane_length(stop - start)
    return [Lane(place, first, min(first + length, stop)) for first in range(start, stop, length)]


def _walk_lanes(
    policy: PolicyFunction,
    market: MarketTensors,
    spec: EnvSpec,
    lanes: Sequence[Lane],
    starts: Starts,
    parts: Sequence[FloatArray],
) -> set[int]:
    """Step all lanes side by side and write each one's records [4, S] over those before; which decide anew."""
    changed: set[int] = set()
    for step, block_4SP in _step_lanes(policy, market, spec, lanes, starts):
        for place, part in enumerate(parts):
            old = part[:, step : step + block_4SP.shape[1]]
            new = block_4SP[:, : old.shape[1], place]
            if (np.abs(old[1] - new[1]) > SAME_TARGET).any():
                changed.add(place)
            old[:] = new
    return changed


def _step_lanes(
    policy: PolicyFunction, market: MarketTensors, spec: EnvSpec, lanes: Sequence[Lane], starts: Starts
) -> Iterator[tuple[int, FloatArray]]:
    """Records [4, S, P] of one block of steps after the other, with the block's first step.

    On the host: the device holds one block, whatever the length of the ranges.
    """
    first_P = torch.tensor([lane.start for lane in lanes], device=market.device)
    last_P = torch.tensor([lane.stop - 1 for lane in lanes], device=market.device)
    steps = max(lane.stop - lane.start for lane in lanes)
    columns = _columns(market)
    grid = make_grid(spec.actions, market.device)
    account, window = starts.account, starts.window_PLF
    at_once = max(1, BLOCK_BYTES // (4 * 8 * len(lanes)))
    block = torch.zeros((4, at_once, len(lanes)), dtype=torch.float64, device=market.device)
    for step in range(steps):
        # A shorter lane repeats its last bar, which has no place in its records.
        t_P = torch.minimum(first_P + step, last_P)
        target_P = to_targets(policy(market.observe(t_P, window)), spec.actions, grid)
        ruined_P = account.equity <= spec.ruin_equity
        filled = fill(account, market, spec.costs, t_P, target_P.masked_fill(ruined_P, 0.0))
        stopped = (filled.log_return_N, filled.account.position, filled.cost_N)
        row = step % at_once
        block[:3, row] = torch.stack([value.masked_fill(ruined_P, 0.0) for value in stopped])
        block[3, row] = filled.account.equity <= spec.ruin_equity
        account = filled.account
        window = torch.cat([window[:, 1:], filled.seen_NK[:, None, columns]], dim=1)
        if row == at_once - 1 or step == steps - 1:
            yield step - row, block[:, : row + 1].cpu().numpy()


def _reckon_starts(
    market: MarketTensors, spec: EnvSpec, lanes: Sequence[Lane], records: Sequence[FloatArray]
) -> Starts:
    """The account before each lane's first decision, given the positions of all lanes before it."""
    found = [
        starts
        for place, group in groupby(lanes, key=lambda lane: lane.of)
        for starts in _reckon_range(market, spec, list(group), records[place][1])
    ]
    return Starts(_join([each.account for each in found]), torch.cat([each.window_PLF for each in found]))


def _reckon_range(
    market: MarketTensors, spec: EnvSpec, lanes: Sequence[Lane], positions_K: FloatArray
) -> Iterator[Starts]:
    """The same for one range: a stretch of lanes after the other, each from where the one before ended."""
    before, columns = open_accounts(1, market.device), _columns(market)
    history = torch.zeros((market.schema.lookback, len(columns)), device=market.device)
    for stretch in _stretches(lanes):
        start, stop = stretch[0].start, stretch[-1].stop
        target_K = torch.tensor(positions_K[start - lanes[0].start : stop - lanes[0].start])
        rows_K = torch.arange(start, stop, device=market.device)
        account, seen_KF = replay(market, spec, rows_K, target_K.to(market.device), before)
        account, history = _join([before, account]), torch.cat([history, seen_KF[:, columns]])
        at = torch.tensor([lane.start - start for lane in stretch], device=market.device)
        rows_PL = at[:, None] + torch.arange(market.schema.lookback, device=market.device)
        yield Starts(_take(account, at), history[rows_PL])
        before, history = _take(account, slice(-1, None)), history[-market.schema.lookback :]


def _stretches(lanes: Sequence[Lane]) -> Iterator[Sequence[Lane]]:
    """Lanes of one range, as many at once as have REPLAY_BARS decisions; a longer one comes alone."""
    length = lanes[0].stop - lanes[0].start
    at_once = max(1, REPLAY_BARS // length)
    yield from (lanes[first : first + at_once] for first in range(0, len(lanes), at_once))


def replay(
    market: MarketTensors, spec: EnvSpec, rows_K: Tensor, target_K: Tensor, before: Account
) -> tuple[Account, Tensor]:
    """The account after each fill of given positions at consecutive rows, and its features float32 [K, F].

    `fill` once for all bars, from the one account `before` on: equity is a running product, its peak a running
    maximum, and a direction's entry the last bar that did not carry it on.
    """
    held_K = torch.cat([before.position, target_K[:-1]])
    moved_K = (target_K - held_K).abs()
    paid_K, borrow_K = cost_rates(market, spec.costs, rows_K, moved_K, target_K)
    opened, closed, following = (
        market.open_T[rows_K + 1],
        market.close_T[rows_K + 1],
        market.open_T[rows_K + 2],
    )
    growth_K = net_growth(target_K, following / opened, paid_K, borrow_K)
    growth_K[0] *= before.equity[0]
    equity_K = growth_K.cumprod(0)
    earlier_K = torch.cat([before.equity, equity_K[:-1]])
    marked_K = earlier_K * net_growth(target_K, closed / opened, paid_K, borrow_K)
    carried_K = (target_K.sign() == held_K.sign()) & (target_K != 0)
    place_K = torch.arange(len(rows_K), device=market.device)
    entry_K = torch.where(carried_K, -1, place_K).cummax(0).values  # -1: the direction of before
    bars_K = place_K - entry_K + torch.where(entry_K < 0, before.bars_held, 1)
    account = Account(
        position=target_K,
        equity=equity_K,
        entry_equity=torch.cat([before.entry_equity, earlier_K])[entry_K + 1],
        peak_equity=torch.maximum(marked_K.cummax(0).values, before.peak_equity),
        bars_held=torch.where(target_K == 0, 0, bars_K),
    )
    features = measure_account(account, marked_K, market.sigma_T[rows_K + 1], moved_K)
    return account, features.to(torch.float32)


def _fresh_starts(market: MarketTensors, count: int) -> Starts:
    shape = (count, market.schema.lookback, len(_columns(market)))
    return Starts(open_accounts(count, market.device), torch.zeros(shape, device=market.device))


def _pick(starts: Starts, places: Sequence[int]) -> Starts:
    at = torch.tensor(places, device=starts.window_PLF.device)
    return Starts(_take(starts.account, at), starts.window_PLF[at])


def _take(account: Account, which: Tensor | slice) -> Account:
    return Account(**{item.name: getattr(account, item.name)[which] for item in fields(Account)})


def _join(accounts: Sequence[Account]) -> Account:
    columns = {item.name: [getattr(each, item.name) for each in accounts] for item in fields(Account)}
    return Account(**{name: torch.cat(values) for name, values in columns.items()})


def _columns(market: MarketTensors) -> list[int]:
    return [ACCOUNT_FEATURES.index(name) for name in market.schema.account]
