"""Collecting a rollout: the policy acts, the environments answer, the buffer fills.

Shape suffixes: N environments, B samples, D obs_dim.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor

from worker.ppo.config import PPOConfig
from worker.ppo.env import BatchedEnv, ObservationParts
from worker.ppo.episodes import EpisodeTally
from worker.ppo.network import NativeActorCritic, SampledActions
from worker.ppo.normalisation import ObservationNormalizer, RewardScaler
from worker.ppo.precision import Arithmetic
from worker.ppo.rollout import RolloutBuffer


class Collector:
    """Steps the environments with the policy and owns all state that lasts from rollout to rollout."""

    def __init__(
        self, env: BatchedEnv, network: NativeActorCritic, config: PPOConfig, arithmetic: Arithmetic
    ) -> None:
        self._env = env
        self._network = network
        self._config = config
        self._arithmetic = arithmetic
        self.episodes = EpisodeTally(env.num_envs, env.device)
        self._normalizer = ObservationNormalizer(env.obs_dim, env.device) if config.norm_obs else None
        self._scaler = RewardScaler(env.num_envs, config.gamma, env.device) if config.norm_reward else None
        self._buffer: RolloutBuffer | None = None

    def observations(self, parts: ObservationParts) -> Tensor:
        """What the network sees of these parts, [B, D]: materialised, and normalised where asked for."""
        return self.normalise(self._env.materialise(parts))

    def normalise(self, obs_BD: Tensor) -> Tensor:
        """Observations [B, D] as the network is to see them."""
        return obs_BD if self._normalizer is None else self._normalizer(obs_BD)

    @torch.no_grad()
    def collect(self, generator: Generator) -> RolloutBuffer:
        """Fill the buffer with num_steps of every environment; advantages and returns included."""
        for t in range(self._config.num_steps):
            parts = self._env.observe()
            sampled = self._act(parts, generator)
            buffer = self._buffer_like(parts, sampled)
            # Copied before the step: an environment may write the next observation into the same memory.
            buffer.store_decision(t, parts, sampled)
            buffer.store_outcome(t, self._env.step(sampled.actions))
        self._bootstrap(buffer)
        self.episodes.count(buffer.reward_TN, buffer.episode_ends)
        if self._scaler is not None:
            buffer.reward_TN.copy_(self._scaler.scale(buffer.reward_TN, buffer.episode_ends))
        buffer.finish(self._config.gamma, self._config.gae_lambda)
        return buffer

    def commit(self) -> None:
        """Move the observation statistics; to be called once the rollout's update is over."""
        if self._normalizer is not None:
            self._normalizer.commit()

    def state_dict(self) -> dict[str, Tensor]:
        """Running episodes, and the statistics of those normalisations that are on."""
        holders = (self.episodes, self._normalizer, self._scaler)
        return {name: value for holder in holders if holder for name, value in holder.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`; further keys are ignored."""
        for holder in (self.episodes, self._normalizer, self._scaler):
            if holder is not None:
                holder.load_state_dict(state)

    def _act(self, parts: ObservationParts, generator: Generator) -> SampledActions:
        obs_ND = self._env.materialise(parts)
        if self._normalizer is not None:
            self._normalizer.gather(obs_ND)
        with self._arithmetic.forward():
            return self._network.act(self.normalise(obs_ND), generator)

    def _values(self, parts: ObservationParts) -> Tensor:
        with self._arithmetic.forward():
            return self._network.value(self.observations(parts))

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
            self._buffer = RolloutBuffer(parts, sampled.actions, self._config.num_steps)
        return self._buffer
