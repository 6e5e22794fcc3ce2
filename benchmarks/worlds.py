"""What the trainers of the benchmarks train in: one market, shown to each in the form that it asks for.

All forms step the same `TradingEnv`; a test holds them equal bit by bit. The rivals are handed whole windows,
as whoever trains with them must hand them, gathered by the environment's own fastest path. The form of
stable-baselines3 is in sb3_ppo.py, so that the others' processes need not load that library.
"""

from collections.abc import Callable
from typing import Any, Protocol

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import Tensor

from app.market.features import FeatureSchema
from app.market.splits import Span
from app.market.trading import RETAIL_COSTS, EnvSpec
from worker.ppo.env import EnvStep, ObservationParts
from worker.selftest.markets import draw_bars
from worker.trading.env import TradingEnv
from worker.trading.market import MarketTensors, build_market

LOOKBACK = 100
EPISODE = 1_000


class StaggeredEnv(TradingEnv):
    """A TradingEnv whose episodes are of different ages from the start, as they are later in a run.

    Else no episode would end within the few updates that a benchmark measures.
    """

    def reset(self, seed: int | None = None) -> ObservationParts:
        """Start anew, environment n as if n/N of its episode were over."""
        super().reset(seed)
        ages = torch.arange(self.num_envs, device=self.device) * self.spec.episode_length // self.num_envs
        self.load_state_dict({**self.state_dict(), "steps": ages})
        return self.observe()


def make_market(bars: int, device: torch.device | str = "cpu", lookback: int = LOOKBACK) -> MarketTensors:
    """A random walk of hourly bars with the 48 market features; observations add 5 of the account."""
    return build_market(draw_bars(bars, seed=1), FeatureSchema(lookback=lookback), device)


def make_env(market: MarketTensors, num_envs: int, episode_length: int = EPISODE) -> StaggeredEnv:
    """Environments over the whole market at retail costs."""
    spec = EnvSpec(RETAIL_COSTS, episode_length=episode_length)
    return StaggeredEnv(market, Span(0, len(market.open_T)), spec, num_envs=num_envs)


class TensorEnvs(Protocol):
    """What the CleanRL-style loop steps."""

    obs_dim: int
    action_dim: int

    def reset(self, seed: int) -> Tensor:
        """First observations [N, D]."""
        ...

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Next observations [N, D], rewards [N], and which episodes ended, for whichever reason [N]."""
        ...


class MarketTensorEnvs:
    """The market as tensors of whole observations."""

    def __init__(self, env: TradingEnv) -> None:
        self._env = env
        self.obs_dim, self.action_dim = env.obs_dim, env.action_dim

    def reset(self, seed: int) -> Tensor:
        """First observations."""
        return self._env.materialise(self._env.reset(seed))

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One step."""
        step: EnvStep = self._env.step(actions)
        return self._env.materialise(step.parts), step.reward_N, step.terminated_N | step.truncated_N


class GymnasiumTensorEnvs:
    """Gymnasium environments the way that CleanRL steps them."""

    def __init__(self, make: Callable[[], gymnasium.Env[Any, Any]], num_envs: int) -> None:
        self._envs = SyncVectorEnv([make] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
        self.obs_dim = int(np.prod(self._envs.single_observation_space.shape))
        self.action_dim = int(self._envs.single_action_space.n)

    def reset(self, seed: int) -> Tensor:
        """First observations."""
        return torch.Tensor(self._envs.reset(seed=seed)[0])

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One step."""
        obs, reward, terminated, truncated, _ = self._envs.step(actions.cpu().numpy())
        ended = np.logical_or(terminated, truncated)
        return torch.Tensor(obs), torch.tensor(reward, dtype=torch.float32), torch.tensor(ended)
