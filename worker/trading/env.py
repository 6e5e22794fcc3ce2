"""The batched trading environment: N accounts on one market, stepped together on the policy's device.

Observation parts are the row `t` and the `account` window; `materialise` gathers the market window only
where it is used. Shape suffixes: N environments, B samples, D obs_dim, L lookback, K account features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from app.errors import InvalidConfig
from app.market.account import PER_ENV
from app.market.schema import ACCOUNT_FEATURES
from app.market.splits import Span, window_ranges
from app.market.trading import EnvSpec
from app.network.shape import ActionKind
from worker.ppo.env import EnvStep, ObservationParts, WindowSeries
from worker.trading.account import Account, Fill, fill, open_accounts
from worker.trading.market import MarketTensors
from worker.trading.reward import differential_sharpe
from worker.trading.targets import make_grid, to_targets

_ACCOUNT_FIELDS = tuple(field.name for field in fields(Account))


class TradingEnv:
    """N episodes on one market within one span or several; implements `worker.ppo.env.WindowedEnv`.

    An observation [D] is the market window [L, F] flattened, oldest bar first, then the account window
    [L, K] flattened. Episodes start at random rows of the spans, each row equally likely, never cross a
    gap, end as *terminated* when equity falls to `spec.ruin_equity` and as *truncated* after
    `spec.episode_length` bars or at the end of the span or segment. Of joined markets (`join_markets`) each
    gives a span, and an episode stays in the asset where it began. Nothing in `step` waits for the device.
    """

    def __init__(
        self,
        market: MarketTensors,
        spans: Span | Sequence[Span],
        spec: EnvSpec,
        *,
        num_envs: int,
        seed: int = 1,
    ) -> None:
        if num_envs < 1:
            raise InvalidConfig(f"num_envs is {num_envs}", hint="a whole number from 1", pointer="num_envs")
        self.market, self.spec = market, spec
        self.spans = (spans,) if isinstance(spans, Span) else tuple(spans)
        self.num_envs = num_envs
        self.device = market.device
        self.obs_dim = market.schema.obs_dim
        self.action_dim = spec.actions.action_dim
        self.action_kind: ActionKind = spec.actions.kind
        self.log_return_N = torch.zeros(num_envs, dtype=torch.float64, device=self.device)
        self.cost_N = torch.zeros_like(self.log_return_N)
        self.reward_N = torch.zeros_like(self.log_return_N)
        self.features_NK = self.log_return_N.new_zeros((num_envs, len(ACCOUNT_FEATURES)))
        columns = [ACCOUNT_FEATURES.index(name) for name in market.schema.account]
        # A tensor, as a list would be copied to the device at every step, which waits for it.
        self._columns = torch.tensor(columns, device=self.device)
        self._grid = make_grid(spec.actions, self.device)
        self._starts, self._last_T = _plan_episodes(market, self.spans, spec.episode_length)
        self.windows = _describe_windows(market, self.spans)
        self._generator = torch.Generator(device=self.device)
        self._generator.manual_seed(seed)
        self._t = self._draw_starts()
        self._steps = torch.zeros(num_envs, dtype=torch.int64, device=self.device)
        self._window = self._empty_window()
        self._account = open_accounts(num_envs, self.device)
        self._sharpe = (torch.zeros_like(self.log_return_N), torch.zeros_like(self.log_return_N))

    def reset(self, seed: int | None = None) -> ObservationParts:
        """Start all episodes anew; the same seed gives the same episodes."""
        if seed is not None:
            self._generator.manual_seed(seed)
        self._restart(torch.ones(self.num_envs, dtype=torch.bool, device=self.device))
        return self.observe()

    def observe(self) -> ObservationParts:
        """{"t": int64 [N], "account": float32 [N, L, K]}; the account's last row is the present."""
        return {"t": self._t, "account": self._window}

    def step(self, actions: Tensor) -> EnvStep:
        """Decide at bar t, fill at open[t+1], be rewarded up to open[t+2], and see bar t+1.

        The step's reward and account features are float32; `reward_N`, `features_NK`, `log_return_N` and
        `cost_N` keep what the step did in float64.
        """
        targets = to_targets(actions, self.spec.actions, self._grid)
        filled = fill(self._account, self.market, self.spec.costs, self._t, targets)
        self.log_return_N, self.cost_N = filled.log_return_N, filled.cost_N
        self.reward_N, self.features_NK = self._reward(filled), filled.features_NK
        window = torch.cat(
            [self._window[:, 1:], filled.seen_NK.index_select(1, self._columns)[:, None]], dim=1
        )
        steps = self._steps + 1
        terminated = filled.account.equity <= self.spec.ruin_equity
        over = (self._t >= self._last_T[self._t]) | (steps >= self.spec.episode_length)
        final: ObservationParts = {"t": self._t + 1, "account": window}
        self._t, self._steps, self._window, self._account = final["t"], steps, window, filled.account
        self._restart(terminated | over)
        reward = self.reward_N.to(torch.float32)
        return EnvStep(self.observe(), reward, terminated, over & ~terminated, final)

    def materialise(self, parts: ObservationParts) -> Tensor:
        """Float32 observations [B, D]: market window, then account window, both oldest bar first."""
        return self.market.observe(parts["t"], parts["account"])

    def rest(self, parts: ObservationParts) -> Tensor:
        """The account windows [B, L·K]: the columns that follow the market's."""
        return parts["account"].flatten(start_dim=1)

    def state_dict(self) -> dict[str, Any]:
        """Copies of all state, as tensors of fixed sizes (`app.market.account.trading_state_specs`)."""
        state = {name: self._state(name).clone() for name in PER_ENV}
        return {**state, "account": self._window.clone(), "generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue bit-identically; raises InvalidConfig for the state of another environment."""
        for name, present in self.state_dict().items():
            _check_state(name, state.get(name), present)
        placed = {name: state[name].to(self.device, copy=True) for name in (*PER_ENV, "account")}
        self._t, self._steps, self._window = placed["t"], placed["steps"], placed["account"]
        self._sharpe = (placed["sharpe_a"], placed["sharpe_b"])
        self._account = Account(**{name: placed[name] for name in _ACCOUNT_FIELDS})
        self._generator.set_state(state["generator"].cpu())

    def _state(self, name: str) -> Tensor:
        own = {"t": self._t, "steps": self._steps, "sharpe_a": self._sharpe[0], "sharpe_b": self._sharpe[1]}
        value: Tensor = own[name] if name in own else getattr(self._account, name)
        return value

    def _reward(self, filled: Fill) -> Tensor:
        if self.spec.reward == "differential_sharpe":
            reward, self._sharpe = differential_sharpe(
                filled.log_return_N, self._sharpe, self.spec.sharpe_eta
            )
            return reward
        return filled.log_return_N

    def _draw_starts(self) -> Tensor:
        count = (self.num_envs,)
        pick = torch.randint(len(self._starts), count, generator=self._generator, device=self.device)
        return self._starts[pick]

    def _empty_window(self) -> Tensor:
        shape = (self.num_envs, self.market.schema.lookback, len(self._columns))
        return torch.zeros(shape, dtype=torch.float32, device=self.device)

    def _restart(self, ended_N: Tensor) -> None:
        """Begin a new episode where one ended; draws for all, so that the draw's size never varies."""
        fresh = open_accounts(self.num_envs, self.device)
        mixed = {
            k: torch.where(ended_N, getattr(fresh, k), getattr(self._account, k)) for k in _ACCOUNT_FIELDS
        }
        self._account = replace(self._account, **mixed)
        self._t = torch.where(ended_N, self._draw_starts(), self._t)
        self._steps = torch.where(ended_N, 0, self._steps)
        self._window = self._window.masked_fill(ended_N[:, None, None], 0.0)
        a, b = self._sharpe
        self._sharpe = (a.masked_fill(ended_N, 0.0), b.masked_fill(ended_N, 0.0))


def _plan_episodes(market: MarketTensors, spans: Sequence[Span], length: int) -> tuple[Tensor, Tensor]:
    """Rows where episodes may start (a whole one fits, or the range's first row), and each row's last one."""
    rows = len(market.open_T)
    last = torch.zeros(rows, dtype=torch.int64)
    starts = []
    for start, stop in (rows for span in spans for rows in market.ranges(span)):
        starts.append(torch.arange(start, max(start + 1, stop - length + 1)))
        last[start:stop] = stop - 1
    return torch.cat(starts).to(market.device), last.to(market.device)


def _describe_windows(market: MarketTensors, spans: Sequence[Span]) -> WindowSeries:
    """The windows that episodes may see; the last decision of a range is followed by one more row."""
    lookback = market.schema.lookback
    ranges = tuple(rows for span in spans for rows in window_ranges(market.segments, span, lookback))
    return WindowSeries(market.features_TF, lookback, "t", ranges, sliding_part="account")


def _check_state(name: str, value: Any, present: Tensor) -> None:
    if not isinstance(value, Tensor) or value.shape != present.shape or value.dtype != present.dtype:
        found = (
            f"{tuple(value.shape)} {value.dtype}" if isinstance(value, Tensor) else repr(type(value).__name__)
        )
        detail = f"state {name!r} is {found}, this environment needs {tuple(present.shape)} {present.dtype}"
        raise InvalidConfig(
            detail, hint="resume with the same num_envs, lookback, account and device", pointer=name
        )
