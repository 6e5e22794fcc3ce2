"""The money of N accounts in float64, and the account features that the policy sees of it.

Timeline of one step: the decision at bar t is made after its close; it fills at open[t+1]; the next
decision, at bar t+1, is made after close[t+1]; the reward runs on to open[t+2]. So what the policy sees at
t+1 is marked to close[t+1]: `equity` itself, which knows open[t+2], is never shown.

Shape suffixes: N accounts, K account features.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from app.market.schema import CLIP
from app.market.trading import Costs
from worker.trading.market import MarketTensors

EQUITY_FLOOR = 1e-6
"""A bar leaves at least this part of the equity, so that its logarithm exists; it ruins in any case."""

HELD_BARS = 100.0
"""Scale of bars_held within tanh."""


@dataclass(frozen=True, eq=False)
class Account:
    """State of N accounts; all float64 but `bars_held` (int64)."""

    position: Tensor
    """Fraction of equity held since the last fill, -1 to 1."""
    equity: Tensor
    """At the open of the next fill, in parts of the start."""
    entry_equity: Tensor
    """Equity before the fill that opened the position's present direction; equity while flat."""
    peak_equity: Tensor
    """Highest equity marked to a close."""
    bars_held: Tensor
    """Closes seen in the position's present direction."""


@dataclass(frozen=True, eq=False)
class Fill:
    """What one fill and the bar after it did."""

    account: Account
    log_return_N: Tensor
    """Net log return from open[t+1] to open[t+2]."""
    cost_N: Tensor
    """Costs as a fraction of equity."""
    features_NK: Tensor
    """The five account features after close[t+1], float64."""

    seen_NK: Tensor
    """The same as observations hold them, float32."""


def open_accounts(count: int, device: torch.device) -> Account:
    """Fresh accounts: flat, equity 1."""
    zero = torch.zeros(count, dtype=torch.float64, device=device)
    one = torch.ones_like(zero)
    return Account(zero, one, one, one, torch.zeros(count, dtype=torch.int64, device=device))


def fill(account: Account, market: MarketTensors, costs: Costs, t_N: Tensor, target_N: Tensor) -> Fill:
    """Bring each account from its position to the target at open[t+1] and hold it to open[t+2]."""
    before = account.equity
    moved = (target_N - account.position).abs()
    paid, borrow = cost_rates(market, costs, t_N, moved, target_N)
    opened, closed, following = market.open_T[t_N + 1], market.close_T[t_N + 1], market.open_T[t_N + 2]
    equity = before * net_growth(target_N, following / opened, paid, borrow)
    marked = before * net_growth(target_N, closed / opened, paid, borrow)
    same_way = target_N.sign() == account.position.sign()
    new = Account(
        position=target_N,
        equity=equity,
        entry_equity=torch.where(same_way & (target_N != 0), account.entry_equity, before),
        peak_equity=torch.maximum(account.peak_equity, marked),
        bars_held=torch.where(target_N == 0, 0, torch.where(same_way, account.bars_held + 1, 1)),
    )
    features = measure_account(new, marked, market.sigma_T[t_N + 1], moved)
    return Fill(new, torch.log(equity / before), paid + borrow, features, features.to(torch.float32))


def cost_rates(
    market: MarketTensors, costs: Costs, t: Tensor, moved: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """Cost of the fill after bar t, and of borrowing for one bar, as fractions of equity."""
    rate = (costs.fee_bps + costs.half_spread_bps) * 1e-4 + costs.slippage * market.natr_T[t]
    borrow = costs.borrow_bps_per_year * 1e-4 / market.periods_per_year_T[t]
    return moved * rate, (-target).clamp(min=0.0) * borrow


def net_growth(position: Tensor, price_ratio: Tensor, paid: Tensor, borrow: Tensor) -> Tensor:
    """Equity after over before: (1 - paid) · (1 + position · (price ratio - 1) - borrow), floored.

    The position is brought back to its fraction of equity at each open without cost: exact for 1 and 0,
    and for -1 a few hundredths of a basis point a bar.
    """
    return ((1.0 - paid) * (1.0 + position * (price_ratio - 1.0) - borrow)).clamp(min=EQUITY_FLOOR)


def measure_account(account: Account, marked_N: Tensor, sigma_N: Tensor, moved_N: Tensor) -> Tensor:
    """The account features [N, 5]: position, PnL/(S·√bars held), tanh(bars held/100), drawdown, |Δposition|."""
    held = account.bars_held.to(torch.float64)
    risk = sigma_N * held.sqrt()
    open_trade = (held > 0) & (risk > 0)
    profit = torch.log(marked_N / account.entry_equity) / torch.where(open_trade, risk, 1.0)
    values = (
        account.position,
        torch.where(open_trade, profit, 0.0).clamp(-CLIP, CLIP),
        torch.tanh(held / HELD_BARS),
        1.0 - marked_N / account.peak_equity,
        moved_N,
    )
    return torch.stack(values, dim=1)
