"""The whole chain proves that it learns: a leaked future is found, and noise does not pay after costs."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from app.market.features import FeatureSchema
from app.market.splits import split_fold
from app.market.trading import Costs, EnvSpec
from tests.market.making import make_bars
from worker.ppo.config import PPOConfig
from worker.ppo.trainer import NativePPOTrainer
from worker.trading.env import TradingEnv
from worker.trading.evaluate import evaluate
from worker.trading.market import MarketTensors, build_market

SCHEMA = FeatureSchema(names=("ret_1", "rsi_14"), lookback=3)
BARS = make_bars(3_000, seed=11)
FOLD = split_fold(BARS, SCHEMA.lookback)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small only wait for each other on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def leak(market: MarketTensors) -> MarketTensors:
    """The market with the return that a decision will earn as its first feature: never do this."""
    features = market.features_TF.clone()
    future = torch.log(market.open_T[2:] / market.open_T[1:-1]) / market.sigma_T[:-2].clamp(min=1e-3)
    features[:-2, 0] = future.clamp(-10, 10).float()
    return replace(market, features_TF=features)


def train(market: MarketTensors, spec: EnvSpec, steps: int, seed: int = 1) -> NativePPOTrainer:
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
    trainer = NativePPOTrainer(TradingEnv(market, FOLD.train, spec, num_envs=32, seed=seed), config)
    for _ in trainer.train():
        pass
    return trainer


@pytest.mark.slow
def test_leaked_future_return_is_found() -> None:
    market, spec = leak(build_market(BARS, SCHEMA)), EnvSpec(episode_length=200)
    result = evaluate(train(market, spec, 25_000).decide, market, FOLD.spans(), spec)
    best = evaluate(
        lambda obs: 1 + obs[:, 2 * (SCHEMA.lookback - 1)].sign().long(), market, FOLD.spans(), spec
    )
    for learned, oracle in zip(result.spans, best.spans, strict=True):
        assert learned.policy.sharpe > 0.9 * oracle.policy.sharpe
        assert learned.excess_t > 5


@pytest.mark.slow
def test_noise_does_not_pay_after_costs() -> None:
    market, spec = build_market(BARS, SCHEMA), EnvSpec(Costs(), episode_length=200)
    result = evaluate(train(market, spec, 10_000).decide, market, FOLD.spans(), spec)
    test = result.spans[2]
    assert test.policy.sharpe is None or test.policy.sharpe < 3 * (1 / test.policy.years) ** 0.5
    assert not any("beat buy & hold" in sentence for sentence in result.verdict)


def test_training_in_the_market_resumes_bit_identically() -> None:
    market, spec = build_market(BARS, SCHEMA), EnvSpec(episode_length=20)
    config = PPOConfig(hidden_dims=(8,), total_timesteps=8 * 16 * 4, num_envs=8, num_steps=16)

    def fresh() -> NativePPOTrainer:
        return NativePPOTrainer(TradingEnv(market, FOLD.train, spec, num_envs=8), config)

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
