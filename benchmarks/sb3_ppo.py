"""stable-baselines3's PPO on our market with our network and hyperparameters, timed update by update.

What still differs: its value clipping takes the clipped error alone, its Adam is torch's default loop, it writes
its buffer twice (once flattened), and reads four figures back in every minibatch.
"""

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from app.network.config import PPOConfig
from worker.ppo.env import EnvStep
from worker.trading.env import TradingEnv

HEAD = 64


class Trunk(BaseFeaturesExtractor):
    """The shared trunk: with `net_arch` of 64 for pi and vf on top, the network is ours layer for layer."""

    def __init__(self, observation_space: gymnasium.spaces.Box, hidden_dims: tuple[int, ...]) -> None:
        super().__init__(observation_space, hidden_dims[-1])
        widths = (observation_space.shape[0], *hidden_dims)
        self.layers = nn.Sequential(*(m for pair in pairwise(widths) for m in (nn.Linear(*pair), nn.Tanh())))

    def forward(self, observations: Tensor) -> Tensor:
        """The latent [B, hidden_dims[-1]]."""
        return self.layers(observations)


class UpdateClock(BaseCallback):
    """Notes when each update begins; the first `short` of them learn for one epoch only."""

    def __init__(self, short: int, epochs: int, clock: Callable[[], float]) -> None:
        super().__init__()
        self._short, self._epochs, self.clock = short, epochs, clock
        self.started: list[float] = []

    def _on_rollout_start(self) -> None:
        self.model.n_epochs = 1 if len(self.started) < self._short else self._epochs
        self.started.append(self.clock())

    def _on_step(self) -> bool:
        return True


class MarketVecEnv(VecEnv):
    """The market as a vectorised environment of stable-baselines3: arrays that share the tensors' memory."""

    def __init__(self, env: TradingEnv) -> None:
        self._env = env
        self._actions = torch.zeros(env.num_envs, dtype=torch.int64)
        space = spaces.Box(-np.inf, np.inf, (env.obs_dim,), np.float32)
        super().__init__(env.num_envs, space, spaces.Discrete(env.action_dim))

    def reset(self) -> np.ndarray:
        """First observations; stable-baselines3 seeds through `seed()`."""
        return self._env.materialise(self._env.reset(self._seeds[0])).numpy()

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions."""
        self._actions = torch.from_numpy(actions)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """One step."""
        step = self._env.step(self._actions)
        ended = step.terminated_N | step.truncated_N
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if ended.any():
            self._note_ends(step, ended, infos)
        return self._env.materialise(step.parts).numpy(), step.reward_N.numpy(), ended.numpy(), infos

    def _note_ends(self, step: EnvStep, ended: Tensor, infos: list[dict[str, Any]]) -> None:
        numbers = ended.nonzero().squeeze(-1)
        final = self._env.materialise({name: part[numbers] for name, part in step.final_parts.items()})
        for n, obs in zip(numbers.tolist(), final.numpy(), strict=True):
            infos[n] = {"terminal_observation": obs, "TimeLimit.truncated": bool(step.truncated_N[n])}

    def close(self) -> None:
        """Nothing to release."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:  # noqa: ARG002 - the names are the library's
        """The same attribute for all."""
        return [getattr(self._env, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Nothing may be set."""
        raise NotImplementedError

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Nothing may be called."""
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:  # noqa: ARG002
        """Nothing is wrapped."""
        return [False] * self.num_envs


def make_ppo(env: VecEnv, config: PPOConfig) -> PPO:
    """The same network and settings as ours; a trunk each where `config` says so."""
    return PPO(
        "MlpPolicy",
        env,
        learning_rate=(lambda left: left * config.learning_rate)
        if config.anneal_lr
        else config.learning_rate,
        n_steps=config.num_steps,
        batch_size=config.minibatch_size,
        n_epochs=config.update_epochs,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip_coef,
        clip_range_vf=config.clip_coef if config.clip_vloss else None,
        normalize_advantage=config.norm_adv,
        ent_coef=config.ent_coef,
        vf_coef=config.vf_coef / 2,
        max_grad_norm=config.max_grad_norm,
        policy_kwargs=_network(config),
        seed=config.seed,
        device="cpu",
    )


def time_updates(
    model: PPO,
    config: PPOConfig,
    *,
    short: int,
    updates: int,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Seconds of each of `updates` updates, after `short` short ones."""
    watch = UpdateClock(short, config.update_epochs, clock)
    model.learn((short + updates) * config.batch_size, callback=watch)
    ends = [*watch.started[1:], clock()]
    return [end - start for start, end in zip(watch.started, ends, strict=True)][short:]


def _network(config: PPOConfig) -> dict[str, Any]:
    head = {"activation_fn": nn.Tanh, "optimizer_class": torch.optim.Adam}
    if not config.shared_trunk:
        return {**head, "net_arch": [*config.hidden_dims, HEAD]}
    return {
        **head,
        "net_arch": {"pi": [HEAD], "vf": [HEAD]},
        "features_extractor_class": Trunk,
        "features_extractor_kwargs": {"hidden_dims": config.hidden_dims},
    }
