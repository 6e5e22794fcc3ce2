"""Small synthetic batched environments, handed to the tests as fixtures."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from worker.ppo.env import EnvStep, WindowSeries

LOOKBACK = 4
BARS = 200
ACCOUNT_STEPS = 5


class WindowEnv:
    """A toy market: parts are a bar index and an account, the observation is a window over shared bars.

    Discrete: actions 0, 1, 2 hold -1, 0, 1. Gaussian: the first action, tanh-squashed, is the position.
    Terminates when equity falls below -1, truncates after `episode_length` steps. With `whole=True` the part *is*
    the materialised observation, as in an environment that knows no parts.
    """

    def __init__(
        self,
        num_envs: int,
        *,
        kind: Any = "discrete",
        whole: bool = False,
        episode_length: int = 7,
        bars: Tensor | None = None,
    ) -> None:
        self.num_envs, self.action_kind, self.whole = num_envs, kind, whole
        self.episode_length = episode_length
        self.action_dim = 3 if kind == "discrete" else 2
        self.device = torch.device("cpu")
        source = torch.Generator().manual_seed(99)
        self.bars = torch.randn(BARS, 3, generator=source) if bars is None else bars
        self.obs_dim = LOOKBACK * 3 + 2
        self.generator = torch.Generator()

    def reset(self, seed: int | None = None) -> dict[str, Tensor]:
        if seed is not None:
            self.generator.manual_seed(seed)
        self.index = self._starts()
        self.account = torch.zeros(self.num_envs, 2)
        # Staggered, so that environments do not end together.
        self.age = torch.arange(self.num_envs) % self.episode_length
        return self.observe()

    def observe(self) -> dict[str, Tensor]:
        return self._parts(self.index, self.account)

    def step(self, actions: Tensor) -> EnvStep:
        position = actions.float() - 1 if self.action_kind == "discrete" else actions[:, 0].tanh()
        reward = position * self.bars[self.index + 1, 0]
        self.index = self.index + 1
        self.account = torch.stack([position, self.account[:, 1] + reward], dim=1)
        self.age = self.age + 1
        terminated = self.account[:, 1] < -1
        truncated = self.age >= self.episode_length
        final = self.observe()
        ended = terminated | truncated
        self.index = torch.where(ended, self._starts(), self.index)
        self.account = torch.where(ended[:, None], 0.0, self.account)
        self.age = torch.where(ended, 0, self.age)
        return EnvStep(self.observe(), reward, terminated, truncated, final)

    def materialise(self, parts: dict[str, Tensor]) -> Tensor:
        if self.whole:
            return parts["observation"]
        rows = parts["index"][:, None] + torch.arange(1 - LOOKBACK, 1)
        return torch.cat([self.bars[rows].flatten(1), parts["account"].flatten(1)], dim=1)

    def state_dict(self) -> dict[str, Any]:
        state = {"index": self.index, "account": self.account, "age": self.age}
        return {**{k: v.clone() for k, v in state.items()}, "rng": self.generator.get_state()}

    def load_state_dict(self, state: Any) -> None:
        self.index, self.account, self.age = (state[k].clone() for k in ("index", "account", "age"))
        self.generator.set_state(state["rng"])

    def _starts(self) -> Tensor:
        last = BARS - self.episode_length - 2
        return torch.randint(LOOKBACK, last, (self.num_envs,), generator=self.generator)

    def _parts(self, index: Tensor, account: Tensor) -> dict[str, Tensor]:
        parts = {"index": index, "account": account}
        if not self.whole:
            return parts
        whole, self.whole = self.whole, False
        obs = self.materialise(parts)
        self.whole = whole
        return {"observation": obs}


class SlidingEnv(WindowEnv):
    """WindowEnv as a WindowedEnv: its account is a window over the last ACCOUNT_STEPS steps.

    With `blind=True` it says nothing of its windows, as a plain BatchedEnv.
    """

    def __init__(self, num_envs: int, *, blind: bool = False, **more: Any) -> None:
        super().__init__(num_envs, **more)
        self.obs_dim = LOOKBACK * 3 + ACCOUNT_STEPS * 2
        if not blind:
            self.windows = WindowSeries(self.bars, LOOKBACK, "index", ((LOOKBACK - 1, BARS),), "account")

    def reset(self, seed: int | None = None) -> dict[str, Tensor]:
        self.history = torch.zeros(self.num_envs, ACCOUNT_STEPS, 2)
        return super().reset(seed)

    def observe(self) -> dict[str, Tensor]:
        return {"index": self.index, "account": self.history}

    def step(self, actions: Tensor) -> EnvStep:
        position = actions.float() - 1 if self.action_kind == "discrete" else actions[:, 0].tanh()
        reward = position * self.bars[self.index + 1, 0]
        self.account = torch.stack([position, self.account[:, 1] + reward], dim=1)
        self.age = self.age + 1
        terminated, truncated = self.account[:, 1] < -1, self.age >= self.episode_length
        ended = terminated | truncated
        seen = torch.cat([self.history[:, 1:], self.account[:, None]], dim=1)
        final = {"index": self.index + 1, "account": seen}
        self.index = torch.where(ended, self._starts(), self.index + 1)
        self.account = torch.where(ended[:, None], 0.0, self.account)
        self.history = seen.masked_fill(ended[:, None, None], 0.0)
        self.age = torch.where(ended, 0, self.age)
        return EnvStep(self.observe(), reward, terminated, truncated, final)

    def rest(self, parts: dict[str, Tensor]) -> Tensor:
        return parts["account"].flatten(1)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "history": self.history.clone()}

    def load_state_dict(self, state: Any) -> None:
        super().load_state_dict(state)
        self.history = state["history"].clone()


class TargetEnv:
    """One-step episodes: observe x in [-1, 1]², pay -(a - target(x))²; the optimum is known."""

    action_kind = "gaussian"
    action_dim = 1
    obs_dim = 2
    device = torch.device("cpu")

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.generator = torch.Generator()

    @staticmethod
    def target(x: Tensor) -> Tensor:
        return 0.8 * x[:, :1] - 0.5 * x[:, 1:]

    def reset(self, seed: int | None = None) -> dict[str, Tensor]:
        if seed is not None:
            self.generator.manual_seed(seed)
        self.x = self._draw()
        return self.observe()

    def observe(self) -> dict[str, Tensor]:
        return {"observation": self.x}

    def step(self, actions: Tensor) -> EnvStep:
        reward = -(actions - self.target(self.x)).square().sum(1)
        final, self.x = self.observe(), self._draw()
        ended = torch.ones(self.num_envs, dtype=torch.bool)
        return EnvStep(self.observe(), reward, ended, ~ended, final)

    def materialise(self, parts: dict[str, Tensor]) -> Tensor:
        return parts["observation"]

    def state_dict(self) -> dict[str, Any]:
        return {"x": self.x.clone(), "rng": self.generator.get_state()}

    def load_state_dict(self, state: Any) -> None:
        self.x = state["x"].clone()
        self.generator.set_state(state["rng"])

    def _draw(self) -> Tensor:
        return torch.rand(self.num_envs, self.obs_dim, generator=self.generator) * 2 - 1


@pytest.fixture
def window_env() -> type[WindowEnv]:
    return WindowEnv


@pytest.fixture
def sliding_env() -> type[SlidingEnv]:
    return SlidingEnv


@pytest.fixture
def target_env() -> type[TargetEnv]:
    return TargetEnv


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """The machine's number of cores must not change a sum's order, and tiny products gain nothing."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
