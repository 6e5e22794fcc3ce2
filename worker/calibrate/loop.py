"""What the loop around the network costs, by rollouts and learning of the smallest network on a made-up market."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch

from app.market.features import FeatureSchema
from app.market.splits import Span
from app.market.trading import RETAIL_COSTS, EnvSpec
from app.network.config import PPOConfig
from app.network.shape import NetworkShape
from app.network.timing.calibration import Calibration, LoopCosts, Spread
from app.network.timing.first_layer_work import WindowedLayer
from app.network.timing.training_work import forward, learn_backward, learn_forward
from app.network.timing.work_time import work_seconds
from worker.calibrate.turns import Turns
from worker.ppo.collect import Collector
from worker.ppo.learn import Learner
from worker.ppo.network import NativeActorCritic
from worker.ppo.observe import describe, observe
from worker.ppo.precision import Arithmetic
from worker.ppo.rollout import Discount, RolloutBuffer, estimate_advantages
from worker.ppo.trainer import ADAM_EPS
from worker.selftest.markets import draw_bars
from worker.trading.env import TradingEnv
from worker.trading.market import MarketTensors, build_market

BARS, EPISODE, STEPS, LOOKBACK = 1_500, 500, 16, 4
NAMES = ("ret_1", "rsi_14")
SMALL, LARGE = 16, 256
"""Environments of both runs: from their difference follows what each one costs."""

EPOCHS = (1, 3)
"""Of both ways to learn: from their difference follows what a minibatch costs."""

OPERATIONS = 100


class LoopRuns:
    """The runs of a calibration, timed in parts."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        market = build_market(draw_bars(BARS, seed=1), FeatureSchema(NAMES, lookback=LOOKBACK), turns.device)
        self._runs = {envs: _Run.make(market, envs) for envs in (SMALL, LARGE)}
        for envs, run in self._runs.items():
            run.add_to(turns, envs)
        turns.add("operation", _call_often(turns.device))

    def costs(self, calibration: Calibration) -> LoopCosts:
        """The measured costs, less what the tables of `calibration` say of the smallest network itself."""
        operation = self._turns.spread("operation").scaled(1 / OPERATIONS)
        known = replace(calibration, loop=replace(calibration.loop, operation=operation))
        step, env_step = self._split(lambda envs: self._step(envs, known), 1)
        gather, gather_sample = self._split(lambda envs: self._turns.seconds["gather", envs], STEPS)
        minibatch, sample = self._split(lambda envs: self._minibatch(envs, known), STEPS)
        return LoopCosts(
            operation=operation,
            update=self._update(),
            step=step,
            env_step=env_step,
            advantage_step=self._turns.spread(("advantages", SMALL)).scaled(1 / STEPS),
            gather=gather,
            gather_sample=gather_sample,
            minibatch=minibatch,
            sample=sample,
        )

    def _split(self, samples: Callable[[int], list[float]], each: int) -> tuple[Spread, Spread]:
        """A part that all sizes cost, and one for each of `each` times the environments."""
        small, large = samples(SMALL), samples(LARGE)
        slopes = [(b - a) / (each * (LARGE - SMALL)) for a, b in zip(small, large, strict=True)]
        bases = [a - slope * each * SMALL for a, slope in zip(small, slopes, strict=True)]
        return _positive(bases), _positive(slopes)

    def _step(self, envs: int, calibration: Calibration) -> list[float]:
        run = self._runs[envs]
        known = work_seconds(forward(run.shape, envs, None), run.config, calibration)
        known += work_seconds(run.layer.acting(), run.config, calibration) / (STEPS + 1)
        return [seconds / STEPS - known for seconds in self._turns.seconds["rollout", envs]]

    def _minibatch(self, envs: int, calibration: Calibration) -> list[float]:
        run, few, many = self._runs[envs], *EPOCHS
        works = (
            learn_forward(run.shape, run.config),
            learn_backward(run.shape, run.config),
            run.layer.forward(),
            run.layer.backward(),
        )
        known = sum(work_seconds(replace(work, corrected=None), run.config, calibration) for work in works)
        both = self._turns.difference(("learn", envs, many), ("learn", envs, few))
        gathered = self._turns.seconds["gather", envs]
        return [one / (many - few) - known - rest for one, rest in zip(both, gathered, strict=True)]

    def _update(self) -> Spread:
        """What learning costs but for its minibatches, and collecting but for its steps."""
        few, many = EPOCHS
        learning = self._turns.seconds["learn", SMALL, few]
        both = self._turns.difference(("learn", SMALL, many), ("learn", SMALL, few))
        collecting = self._turns.difference(("collect", SMALL), ("rollout", SMALL))
        parts = zip(learning, both, collecting, strict=True)
        return _positive([one - more * few / (many - few) + rest for one, more, rest in parts])


@dataclass(frozen=True)
class _Run:
    """The smallest network in some environments, its parts taken apart."""

    config: PPOConfig
    shape: NetworkShape
    layer: WindowedLayer
    collector: Collector
    learn: Callable[[int], object]
    """Learn for so many epochs from the last rollout."""
    buffer: RolloutBuffer
    generator: torch.Generator

    @classmethod
    def make(cls, market: MarketTensors, envs: int) -> "_Run":
        config = PPOConfig((16,), num_envs=envs, num_steps=STEPS, num_minibatches=1, first_layer="direct")
        span = Span(0, len(market.open_T))
        env = TradingEnv(market, span, EnvSpec(RETAIL_COSTS, episode_length=EPISODE), num_envs=envs)
        shape = NetworkShape(env.obs_dim, config.hidden_dims, env.action_dim)
        network = NativeActorCritic(shape).to(market.device)
        arithmetic, generator = (
            Arithmetic("fp32", market.device),
            torch.Generator(market.device).manual_seed(1),
        )
        _, observer = observe(env, network, config, arithmetic)
        collector = Collector(env, network, config, arithmetic, observer)
        # A learning rate of 0: every turn does the same work on the same weights.
        optimizer = torch.optim.Adam(network.parameters(), lr=0.0, eps=ADAM_EPS, fused=True)
        buffer = collector.collect(generator)
        learners = {
            epochs: Learner(network, optimizer, replace(config, update_epochs=epochs), arithmetic)
            for epochs in EPOCHS
        }
        windows = describe(env.windows)
        layer = WindowedLayer(config, windows, shape.obs_dim - windows.columns, market.device.type)
        return cls(
            config,
            shape,
            layer,
            collector,
            lambda epochs: learners[epochs].learn(buffer, observer, 0.2, generator),
            buffer,
            generator,
        )

    def add_to(self, turns: Turns, envs: int) -> None:
        """Have the parts timed."""
        buffer, samples = self.buffer, torch.randperm(self.config.batch_size).to(turns.device)
        discount = Discount(0.99, 0.95)
        series = (buffer.reward_TN, buffer.value_TN, buffer.next_value_TN)
        ends = (buffer.terminated_TN, buffer.truncated_TN)
        turns.add(("rollout", envs), lambda: self.collector.step(self.generator))
        turns.add(("collect", envs), lambda: self.collector.collect(self.generator))
        turns.add(("gather", envs), lambda: buffer.minibatch(samples))
        turns.add(("advantages", envs), lambda: estimate_advantages(*series, *ends, discount))
        for epochs in EPOCHS:
            turns.add(("learn", envs, epochs), partial(self.learn, epochs))


def no_costs() -> LoopCosts:
    """Costs of nothing, before the first turn."""
    none = Spread(0.0, 0.0, 0.0)
    return LoopCosts(**dict.fromkeys(LoopCosts.__slots__, none))


def _positive(samples: list[float]) -> Spread:
    """Noise may take a small difference below nothing."""
    return Spread.of([max(0.0, sample) for sample in samples])


def _call_often(device: torch.device) -> Callable[[], object]:
    value = torch.zeros(1, device=device)

    def run() -> None:
        for _ in range(OPERATIONS):
            value.add_(1.0)

    return run
