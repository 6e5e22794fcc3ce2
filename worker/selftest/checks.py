"""The two checks: a leaked future must be found, shuffled returns must not beat staying out of the market.

Both run the real chain: bars, features, split, environment, trainer, and the walk over the unseen test span
on which policies are evaluated.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from app.market.bars import Bars
from app.market.features import FeatureSchema
from app.market.splits import Fold, split_fold
from app.market.trading import RETAIL_COSTS, EnvSpec
from worker.ppo.config import PPOConfig
from worker.ppo.trainer import NativePPOTrainer
from worker.selftest.markets import draw_bars, leak_future, shuffle_bars
from worker.trading.env import TradingEnv
from worker.trading.market import MarketTensors, build_market
from worker.trading.walk import walk_policy

NEAR_OPTIMAL = 0.9
"""Part of the oracle's Sharpe ratio that a policy must reach on the test span to have found the leak."""

FALSE_ALARM_Z = 2.326
"""Pooled z above which shuffled returns count as beaten: a sound service passes this with probability 0.01."""

FALSE_ALARM_RATE = 0.01
"""1 - Φ(FALSE_ALARM_Z); an upper bound, as costs push the mean below 0."""

SCHEMA = FeatureSchema(names=("ret_1", "rsi_14"), lookback=3)
SPEC = EnvSpec(RETAIL_COSTS, episode_length=200)


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is trained; the full size is what `caliper selftest` runs."""

    bars: int = 6_000
    """Bars of each market; a fifth of them is the test span."""
    leak_seeds: tuple[int, ...] = (1, 2, 3)
    """Each draws a market and a network of its own."""
    leak_steps: int = 40_000
    """Environment steps of training with the leak."""
    null_seeds: tuple[int, ...] = (11, 12, 13, 14, 15, 16, 17, 18, 19, 20)
    """Each shuffles anew and trains a network of its own."""
    null_steps: int = 20_000
    """Environment steps of training on noise."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training run and what it reached on the test span, after costs."""

    check: str
    """`leaked_future` or `shuffled_returns`."""
    seed: int
    """Of market, network and episodes."""
    sharpe: float | None
    """Annual Sharpe ratio; None if the policy never moved."""
    z: float
    """Mean return over its standard error: how far it beats staying out; 0 if it never moved."""
    total_return: float
    """Growth of equity."""
    trades: int
    """Changes of position."""
    oracle_sharpe: float | None = None
    """Sharpe ratio of the rule that trades on the leak's sign; only where there is one."""

    @property
    def found(self) -> bool:
        """Whether the leak was found: beyond chance better than staying out, and near the oracle's Sharpe ratio."""
        if self.sharpe is None or self.oracle_sharpe is None:
            return False
        return self.z > FALSE_ALARM_Z and self.sharpe >= NEAR_OPTIMAL * self.oracle_sharpe


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the runs say together."""

    leak_found: bool
    """Every run with the leak reached the oracle's Sharpe ratio up to `NEAR_OPTIMAL`."""
    leak_z: float
    """Smallest z of the runs with the leak: what the null's statistic shows where there is something."""
    null_z: float
    """z of all runs on shuffled returns together: Σ z / √runs."""
    null_holds: bool
    """It stays below `FALSE_ALARM_Z`."""

    @property
    def passed(self) -> bool:
        """Both directions hold."""
        return self.leak_found and self.null_holds


def run_checks(scale: Scale) -> Iterator[Run]:
    """All runs, each as it ends."""
    for seed in scale.leak_seeds:
        yield check_leak(scale, seed)
    source = draw_bars(scale.bars, seed=0)
    for seed in scale.null_seeds:
        yield check_null(source, scale, seed)


def judge_runs(runs: list[Run]) -> Verdict:
    """The verdict on runs of both checks."""
    leaked = [run for run in runs if run.check == "leaked_future"]
    shuffled = [run.z for run in runs if run.check == "shuffled_returns"]
    null_z = sum(shuffled) / math.sqrt(len(shuffled))
    return Verdict(
        leak_found=all(run.found for run in leaked),
        leak_z=min(run.z for run in leaked),
        null_z=null_z,
        null_holds=null_z < FALSE_ALARM_Z,
    )


def check_leak(scale: Scale, seed: int) -> Run:
    """Train with the return that each decision will earn among the features."""
    bars = draw_bars(scale.bars, seed)
    market, fold = leak_future(build_market(bars, SCHEMA)), split_fold(bars, SCHEMA.lookback)
    policy = train(market, fold, scale.leak_steps, seed).decide
    return _measure("leaked_future", seed, market, fold, policy, oracle=follow_leak)


def check_null(source: Bars, scale: Scale, seed: int) -> Run:
    """Train on the source's bars in random order, where there is nothing to find."""
    bars = shuffle_bars(source, seed)
    market, fold = build_market(bars, SCHEMA), split_fold(bars, SCHEMA.lookback)
    policy = train(market, fold, scale.null_steps, seed).decide
    return _measure("shuffled_returns", seed, market, fold, policy)


def train(market: MarketTensors, fold: Fold, steps: int, seed: int) -> NativePPOTrainer:
    """A small network trained on the fold's training span."""
    config = PPOConfig(
        hidden_dims=(32,),
        total_timesteps=steps,
        num_envs=32,
        num_steps=32,
        num_minibatches=4,
        learning_rate=3e-3,
        gamma=0.5,
        norm_reward=True,
        seed=seed,
    )
    trainer = NativePPOTrainer(TradingEnv(market, fold.train, SPEC, num_envs=32, seed=seed), config)
    for _ in trainer.train():
        pass
    return trainer


def follow_leak(obs_BD: Tensor) -> Tensor:
    """The oracle: long where the leaked return of the newest bar is positive, short where it is negative."""
    newest = len(SCHEMA.names) * (SCHEMA.lookback - 1)
    return 1 + obs_BD[:, newest].sign().long()


def _measure(
    check: str,
    seed: int,
    market: MarketTensors,
    fold: Fold,
    policy: Callable[[Tensor], Tensor],
    oracle: Callable[[Tensor], Tensor] | None = None,
) -> Run:
    walk = walk_policy(policy, market, {"test": fold.test}, SPEC)["test"]
    figures = walk.measure(market.periods_per_year)
    best = None
    if oracle is not None:
        ideal = walk_policy(oracle, market, {"test": fold.test}, SPEC)["test"]
        best = ideal.measure(market.periods_per_year).sharpe
    earned = np.expm1(walk.log_returns)
    spread = float(earned.std(ddof=1))
    z = float(earned.mean()) / spread * math.sqrt(len(earned)) if spread > 0 else 0.0
    return Run(check, seed, figures.sharpe, z, figures.total_return, figures.trades, best)


def use_one_thread() -> None:
    """Networks this small only wait for each other on several threads; one thread also gives the same bits."""
    torch.set_num_threads(1)
