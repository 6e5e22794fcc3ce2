"""NativePPOTrainer: PPO as a library call, `for progress in NativePPOTrainer(env, config).train()`."""

import copy
import dataclasses
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Generator, Tensor

from app.errors import InvalidConfig
from app.network.shape import NetworkShape
from worker.ppo.collect import Collector
from worker.ppo.config import PPOConfig
from worker.ppo.env import BatchedEnv
from worker.ppo.failures import check_finite, memory_errors
from worker.ppo.learn import Learner, LearningFigures
from worker.ppo.network import NativeActorCritic
from worker.ppo.precision import Arithmetic
from worker.ppo.progress import Progress
from worker.ppo.resume import check_policy, check_trainer_state

ADAM_EPS = 1e-5


class NativePPOTrainer:
    """Trains a NativeActorCritic in a batched environment.

    All randomness comes from generators seeded with `config.seed`, which the trainer owns: torch's global
    one is neither read nor moved. On a CPU the same seed (and number of threads) gives the same bits.

    Raises InvalidConfig for a configuration that contradicts itself or the environment.
    """

    def __init__(self, env: BatchedEnv, config: PPOConfig) -> None:
        self.config = dataclasses.replace(config).check()
        _check_env(env, self.config)
        self.env = env
        self.update = 0
        self.global_step = 0
        with memory_errors(self.config, env.device):
            self._build()

    def train(self) -> Iterator[Progress]:
        """Run updates until total_timesteps, yielding after each.

        Between two yields nothing is pending: the caller may stop for good, take `state_dict()`, or call
        `train()` again to go on. Raises TrainingDiverged or OutOfDeviceMemory, after which the trainer's
        state is not to be used.
        """
        while self.update < self.config.num_updates:
            with memory_errors(self.config, self.env.device), self._arithmetic.products():
                progress = self._run_update()
            yield progress

    @torch.no_grad()
    def decide(self, obs_BD: Tensor) -> Tensor:
        """The policy's best action for each observation [B, D] as `env.materialise` gives it.

        Observations are normalised as in training. int64 [B], or the Gaussian's mean [B, action_dim].
        """
        with self._arithmetic.products():
            return self.network.best_action(self._collector.normalise(obs_BD))

    def state_dict(self) -> dict[str, Any]:
        """All that a continuation needs: policy_state_dict, optimizer_state_dict, trainer_state.

        As torch does, weights and optimizer state are the live tensors: save or copy before going on.
        """
        return {
            "policy_state_dict": self.network.state_dict(),
            "optimizer_state_dict": self.optimizer.state_dict(),
            "trainer_state": {**self._own_state(), "env": self.env.state_dict()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict()` was taken; on a CPU bit by bit as if nothing had been between.

        Raises InvalidConfig where the state is of another network, num_envs or normalisation.
        """
        check_policy(self.network, state["policy_state_dict"])
        trainer_state = state["trainer_state"]
        check_trainer_state(self._own_state(), trainer_state)
        self.network.load_state_dict(state["policy_state_dict"])
        # A copy, as Adam would go on to write into the caller's tensors.
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer_state_dict"]))
        self.update = int(trainer_state["update"])
        self.global_step = int(trainer_state["global_step"])
        self._collector.load_state_dict(trainer_state)
        self._cpu_generator.set_state(trainer_state["cpu_rng_state"].cpu())
        if self._generator is not self._cpu_generator and "device_rng_state" in trainer_state:
            self._generator.set_state(trainer_state["device_rng_state"].cpu())
        self.env.load_state_dict(trainer_state["env"])

    def _build(self) -> None:
        env, config = self.env, self.config
        self._cpu_generator = Generator().manual_seed(config.seed)
        self._generator = self._cpu_generator
        if env.device.type != "cpu":
            self._generator = Generator(env.device).manual_seed(config.seed)
        shape = NetworkShape(
            env.obs_dim,
            config.hidden_dims,
            env.action_dim,
            env.action_kind,
            config.layer_norm,
            config.shared_trunk,
        )
        network = NativeActorCritic(shape, config.activation, generator=self._cpu_generator)
        self.network = network.to(env.device)
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=config.learning_rate, eps=ADAM_EPS, fused=_can_fuse(env.device)
        )
        self._arithmetic = Arithmetic(config.precision, env.device)
        self._collector = Collector(env, self.network, config, self._arithmetic)
        self._learner = Learner(self.network, self.optimizer, config, self._arithmetic)
        env.reset(seed=config.seed)

    def _run_update(self) -> Progress:
        started = time.perf_counter()
        remaining = 1 - self.update / self.config.num_updates
        learning_rate = self.config.learning_rate * (remaining if self.config.anneal_lr else 1)
        clip_coef = self.config.clip_coef * (remaining if self.config.anneal_clip else 1)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        buffer = self._collector.collect(self._generator)
        figures = self._learner.learn(buffer, self._collector.observations, clip_coef, self._generator)
        self._collector.commit()
        self.update += 1
        self.global_step += self.config.batch_size
        check_finite(figures, self.update)
        return self._progress(figures, learning_rate, time.perf_counter() - started)

    def _progress(self, figures: LearningFigures, learning_rate: float, seconds: float) -> Progress:
        episodes = self._collector.episodes
        explained = figures.explained_variance
        return Progress(
            update=self.update,
            num_updates=self.config.num_updates,
            global_step=self.global_step,
            total_timesteps=self.config.total_timesteps,
            steps_per_second=self.config.batch_size / seconds,
            episodes=episodes.finished,
            episode_return=episodes.mean_return,
            episode_length=episodes.mean_length,
            policy_loss=figures.policy_loss,
            value_loss=figures.value_loss,
            entropy=figures.entropy,
            approx_kl=figures.approx_kl,
            clipfrac=figures.clipfrac,
            explained_variance=explained if math.isfinite(explained) else None,
            learning_rate=learning_rate,
            grad_norm=figures.grad_norm,
        )

    def _own_state(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "global_step": torch.tensor(self.global_step),
            "update": torch.tensor(self.update),
            "cpu_rng_state": self._cpu_generator.get_state(),
        }
        if self.env.device.type == "cuda":
            state["device_rng_state"] = self._generator.get_state()
        return {**state, **self._collector.state_dict()}


def _check_env(env: BatchedEnv, config: PPOConfig) -> None:
    if env.num_envs != config.num_envs:
        raise InvalidConfig(
            f"the environment holds {env.num_envs} environments, the configuration says num_envs={config.num_envs}",
            hint="give both the same number",
            pointer="num_envs",
        )


def _can_fuse(device: torch.device) -> bool:
    return device.type in ("cpu", "cuda")
