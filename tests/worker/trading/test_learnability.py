"""The whole chain proves that it learns: a leaked future is found, and noise does not pay after costs.

The runs are those of `caliper selftest`, fewer and shorter.
"""

from collections.abc import Iterator

import pytest
import torch

from app.market.splits import split_fold
from app.market.trading import RETAIL_COSTS, EnvSpec
from worker.ppo.config import PPOConfig
from worker.ppo.trainer import NativePPOTrainer
from worker.selftest.checks import SCHEMA, Scale, check_leak, judge_runs, run_checks
from worker.selftest.markets import draw_bars
from worker.trading.env import TradingEnv
from worker.trading.market import build_market

SMALL = Scale(bars=3_000, leak_seeds=(1,), leak_steps=8_192, null_seeds=(11, 12, 13), null_steps=6_144)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small only wait for each other on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_a_leaked_future_is_found_and_shuffled_returns_are_not_beaten() -> None:
    runs = list(run_checks(SMALL))
    assert [(run.check, run.seed) for run in runs] == [
        ("leaked_future", 1),
        *(("shuffled_returns", seed) for seed in SMALL.null_seeds),
    ]
    assert len({run.z for run in runs}) == len(runs)
    verdict = judge_runs(runs)
    assert verdict.leak_found
    assert verdict.leak_z > 10
    assert verdict.null_holds
    assert verdict.passed


def test_without_the_leak_the_same_run_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.selftest.checks.leak_future", lambda market: market)
    run = check_leak(Scale(bars=2_000, leak_steps=2_048), seed=1)
    assert not run.found
    assert run.z < 4


def test_training_in_the_market_resumes_bit_identically() -> None:
    bars = draw_bars(3_000, seed=11)
    market, fold = build_market(bars, SCHEMA), split_fold(bars, SCHEMA.lookback)
    spec = EnvSpec(RETAIL_COSTS, episode_length=20)
    config = PPOConfig(hidden_dims=(8,), total_timesteps=8 * 16 * 4, num_envs=8, num_steps=16)

    def fresh() -> NativePPOTrainer:
        return NativePPOTrainer(TradingEnv(market, fold.train, spec, num_envs=8), config)

    straight, first, second = fresh(), fresh(), fresh()
    for _ in straight.train():
        pass
    run = first.train()
    next(run)
    next(run)
    second.load_state_dict(first.state_dict())
    for _ in second.train():
        pass
    for name, weight in straight.network.state_dict().items():
        assert torch.equal(weight, second.network.state_dict()[name]), name
