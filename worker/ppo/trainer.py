"""NativePPOTrainer: PPO as a library call, `for progress in NativePPOTrainer(env, config).train()`."""

import copy
import dataclasses
import logging
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
from worker.ppo.distributed import World
from worker.ppo.env import BatchedEnv
from worker.ppo.failures import check_finite, is_out_of_memory, memory_errors
from worker.ppo.learn import Learner, LearningFigures
from worker.ppo.learning_rate import adapted, annealed
from worker.ppo.network import NativeActorCritic
from worker.ppo.observe import observe
from worker.ppo.oom_retry import OomRetry, copy_to_host, free_memory, halve_minibatch
from worker.ppo.precision import Arithmetic, choose_precision
from worker.ppo.progress import Progress
from worker.ppo.rank_state import gather_ranks, select_rank
from worker.ppo.resume import check_policy, check_trainer_state

ADAM_EPS = 1e-5

_LOGGER = logging.getLogger(__name__)


class NativePPOTrainer:
    """Trains a NativeActorCritic in a batched environment.

    All randomness comes from generators seeded with `config.seed`, which the trainer owns: torch's global
    one is neither read nor moved. On a CPU the same seed (and number of threads) gives the same bits.

    Where a process group is initialised, its processes train together (distributed.py): `config` says what
    they do in all, `env` holds this process's share of the environments, and `train`, `state_dict` and
    `load_state_dict` are to be called by all of them.

    Raises InvalidConfig for a configuration that contradicts itself, the environment or the processes.
    """

    def __init__(self, env: BatchedEnv, config: PPOConfig, world: World | None = None) -> None:
        self.config = dataclasses.replace(config).check()
        self.world = world or World.find()
        _check_env(env, self.config, self.world)
        self.env = env
        self.update = 0
        self.global_step = 0
        self.oom_retries: list[OomRetry] = []
        """The times that memory ran out and `oom_retry` went on with smaller minibatches."""
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
                progress = self._run_within_memory()
            yield progress

    @torch.no_grad()
    def decide(self, obs_BD: Tensor) -> Tensor:
        """The policy's best action for each observation [B, D] as `env.materialise` gives it.

        Observations are normalised as in training. int64 [B], or the Gaussian's mean [B, action_dim].
        """
        with self._arithmetic.products():
            return self.network.best_action(self._observer.normalise(obs_BD))

    def release(self) -> None:
        """Free what only further updates need: gradients and the rollout; `train()` would make them anew."""
        self.optimizer.zero_grad(set_to_none=True)
        self._collector.release()
        free_memory(self.env.device)

    def state_dict(self) -> dict[str, Any]:
        """All that a continuation needs: policy_state_dict, optimizer_state_dict, trainer_state.

        As torch does, weights and optimizer state are the live tensors: save or copy before going on.
        """
        return {
            "policy_state_dict": self.network.state_dict(),
            "optimizer_state_dict": self.optimizer.state_dict(),
            "trainer_state": gather_ranks(self.world, {**self._own_state(), "env": self.env.state_dict()}),
        }

    def load_state_dict(self, state: Mapping[str, Any], *, take_over: bool = False) -> None:
        """Continue where `state_dict()` was taken; on a CPU bit by bit as if nothing had been between.

        With `take_over` its moments become the optimizer's own instead of being copied: the caller is to drop it.
        Raises InvalidConfig where the state is of another network, num_envs, normalisation or number of
        processes.
        """
        check_policy(self.network, state["policy_state_dict"])
        trainer_state = select_rank(self.world, state["trainer_state"])
        check_trainer_state(self._own_state(), trainer_state)
        self.network.load_state_dict(state["policy_state_dict"])
        moments = state["optimizer_state_dict"]
        # A copy, as Adam would go on to write into the caller's tensors.
        self.optimizer.load_state_dict(moments if take_over else copy.deepcopy(moments))
        self.update = int(trainer_state["update"])
        self.global_step = int(trainer_state["global_step"])
        self._collector.load_state_dict(trainer_state)
        self._cpu_generator.set_state(trainer_state["cpu_rng_state"].cpu())
        if self._generator is not self._cpu_generator and "device_rng_state" in trainer_state:
            self._generator.set_state(trainer_state["device_rng_state"].cpu())
        self.env.load_state_dict(trainer_state["env"])

    def split_into(self, num_minibatches: int) -> None:
        """Go on with this many minibatches an epoch: between two updates, as if configured so from the start.

        Raises InvalidConfig where they do not divide the batch.
        """
        state, recent = copy_to_host(self.state_dict()), self._collector.episodes.recent
        self._resplit(num_minibatches, state, recent)

    def _build(self) -> None:
        env, config = self.env, self.config
        seed = self.world.sampling_seed(config.seed)
        self._cpu_generator = Generator().manual_seed(seed)
        self._generator = self._cpu_generator
        if env.device.type != "cpu":
            self._generator = Generator(env.device).manual_seed(seed)
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
        self.world.equalise(parameter.data for parameter in self.network.parameters())
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=config.learning_rate, eps=ADAM_EPS, fused=_can_fuse(env.device)
        )
        self._arithmetic = Arithmetic(choose_precision(config.precision, env.device), env.device)
        self._assemble()
        env.reset(seed=self.world.env_seed(config.seed, env.num_envs))

    def _assemble(self) -> None:
        """Make what works on this process's share of the batch."""
        env, network, arithmetic, world = self.env, self.network, self._arithmetic, self.world
        share = world.share(self.config)
        self.first_layer, self._observer = observe(env, network, share, arithmetic, world)
        self._collector = Collector(env, network, share, arithmetic, self._observer, world)
        self._learner = Learner(network, self.optimizer, share, arithmetic, world)

    def _run_within_memory(self) -> Progress:
        """One update; where memory runs out and `oom_retry` is on, again from its start."""
        if not self.config.oom_retry:
            return self._run_update()
        start, recent = copy_to_host(self.state_dict()), self._collector.episodes.recent
        while True:
            try:
                return self._run_update()
            except (MemoryError, RuntimeError) as error:
                smaller = halve_minibatch(self.config) if is_out_of_memory(error) else None
                if smaller is None:
                    raise
                retry = OomRetry(self.update + 1, self.config.num_minibatches, smaller, str(error))
            # Out here, as the exception holds on to all that the failed update had allocated.
            self._resplit(smaller, start, recent)
            self.oom_retries.append(retry)
            _LOGGER.warning("out of memory in update %d: num_minibatches %d -> %d", *_told(retry))

    def _resplit(
        self, num_minibatches: int, state: Mapping[str, Any], recent: tuple[tuple[float, float], ...]
    ) -> None:
        dataclasses.replace(self.config, num_minibatches=num_minibatches).check()
        self.config.num_minibatches = num_minibatches
        self.optimizer.zero_grad(set_to_none=True)
        self.optimizer.state.clear()
        del self._observer, self._collector, self._learner
        free_memory(self.env.device)
        self._assemble()
        self.load_state_dict(state)
        self._collector.episodes.recall(recent)

    def _run_update(self) -> Progress:
        started = time.perf_counter()
        config = self.config
        learning_rate = self._learning_rate()
        clip_coef = annealed(config.clip_coef, self.update, config, wanted=config.anneal_clip)
        buffer = self._collector.collect(self._generator)
        figures = self._learner.learn(buffer, self._observer, clip_coef, self._generator)
        self._observer.commit()
        self._set_learning_rate(adapted(learning_rate, figures.approx_kl, config))
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

    def _learning_rate(self) -> float:
        """This update's, set in the optimizer; an adaptive one stands there since the update before."""
        config = self.config
        if config.desired_kl is not None:
            return float(self.optimizer.param_groups[0]["lr"])
        learning_rate = annealed(config.learning_rate, self.update, config, wanted=config.anneal_lr)
        self._set_learning_rate(learning_rate)
        return learning_rate

    def _set_learning_rate(self, learning_rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate

    def _own_state(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "global_step": torch.tensor(self.global_step),
            "update": torch.tensor(self.update),
            "cpu_rng_state": self._cpu_generator.get_state(),
        }
        if self.env.device.type == "cuda":
            state["device_rng_state"] = self._generator.get_state()
        return {**state, **self._collector.state_dict()}


def _check_env(env: BatchedEnv, config: PPOConfig, world: World) -> None:
    share = world.share(config).num_envs
    if env.num_envs != share:
        each = "" if world.size == 1 else f", {share} for each of {world.size} processes"
        raise InvalidConfig(
            f"the environment holds {env.num_envs} environments, "
            f"the configuration says num_envs={config.num_envs}{each}",
            hint="give both the same number",
            pointer="num_envs",
        )


def _told(retry: OomRetry) -> tuple[int, int, int]:
    return retry.update, retry.asked, retry.used


def _can_fuse(device: torch.device) -> bool:
    return device.type in ("cpu", "cuda")
