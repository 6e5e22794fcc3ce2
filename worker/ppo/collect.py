"""Collecting a rollout: the policy acts, the environments answer, the buffer fills.

Shape suffixes: T steps, N environments.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor

from worker.ppo.config import PPOConfig
from worker.ppo.distributed import World
from worker.ppo.env import BatchedEnv, ObservationParts, WindowedEnv
from worker.ppo.episodes import EpisodeTally
from worker.ppo.network import NativeActorCritic, SampledActions
from worker.ppo.normalisation import RewardScaler
from worker.ppo.observer import Observer
from worker.ppo.precision import Arithmetic
from worker.ppo.rollout import RolloutBuffer


class Collector:
    """Steps the environments with the policy and owns all state that lasts from rollout to rollout."""

    def __init__(
        self,
        env: BatchedEnv,
        network: NativeActorCritic,
        config: PPOConfig,
        arithmetic: Arithmetic,
        observer: Observer,
        world: World | None = None,
    ) -> None:
        self._env = env
        self._network = network
        self._config = config
        self._arithmetic = arithmetic
        self.episodes = EpisodeTally(env.num_envs, env.device, world)
        self._observer = observer
        self._scaler = (
            RewardScaler(env.num_envs, config.gamma, env.device, world) if config.norm_reward else None
        )
        self._buffer: RolloutBuffer | None = None

    @torch.no_grad()
    def collect(self, generator: Generator) -> RolloutBuffer:
        """Fill the buffer with num_steps of every environment; advantages and returns included."""
        buffer = self.step(generator)
        self._bootstrap(buffer)
        self.episodes.count(buffer.reward_TN, buffer.episode_ends)
        if self._scaler is not None:
            buffer.reward_TN.copy_(self._scaler.scale(buffer.reward_TN, buffer.episode_ends))
        buffer.finish(self._config.gamma, self._config.gae_lambda)
        return buffer

    @torch.no_grad()
    def step(self, generator: Generator) -> RolloutBuffer:
        """Step every environment num_steps times; nothing in here waits for the device."""
        self._observer.begin_rollout()
        for t in range(self._config.num_steps):
            parts = self._env.observe()
            sampled = self._act(parts, generator)
            buffer = self._buffer_like(parts, sampled)
            # Copied before the step: an environment may write the next observation into the same memory.
            buffer.store_decision(t, parts, sampled)
            buffer.store_outcome(t, self._env.step(sampled.actions))
        return buffer

    def release(self) -> None:
        """Give the rollout's memory back until the next one."""
        self._buffer = None

    def state_dict(self) -> dict[str, Tensor]:
        """Running episodes, and the statistics of those normalisations that are on."""
        holders = (self.episodes, self._observer, self._scaler)
        return {name: value for holder in holders if holder for name, value in holder.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`; further keys are ignored."""
        for holder in (self.episodes, self._observer, self._scaler):
            if holder is not None:
                holder.load_state_dict(state)

    def _act(self, parts: ObservationParts, generator: Generator) -> SampledActions:
        with self._arithmetic.forward():
            return self._network.act(self._observer.for_acting(parts), generator)

    def _values(self, parts: ObservationParts) -> Tensor:
        with self._arithmetic.forward():
            return self._network.value(self._observer.for_values(parts))

    def _bootstrap(self, buffer: RolloutBuffer) -> None:
        last_value_N = self._values(self._env.observe())
        samples = buffer.truncated_samples()
        # In minibatches: were every environment truncated at once, all at once could be more than fits.
        values = [
            self._values(buffer.final_parts_of(some))
            for some in torch.split(samples, self._config.minibatch_size)
        ]
        buffer.bootstrap(last_value_N, samples, torch.cat(values))

    def _buffer_like(self, parts: ObservationParts, sampled: SampledActions) -> RolloutBuffer:
        if self._buffer is None:
            sliding = self._env.windows.sliding_part if isinstance(self._env, WindowedEnv) else None
            self._buffer = RolloutBuffer(parts, sampled.actions, self._config.num_steps, sliding)
        return self._buffer
