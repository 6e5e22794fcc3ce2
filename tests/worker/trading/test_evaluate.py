"""Evaluation: the same money as the environment's, honest baselines, plain words."""

import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch

from app.errors import InvalidInput
from app.market.evaluation import judge, newey_west_t, sharpe_error
from app.market.features import FeatureSchema
from app.market.splits import Span, split_fold
from app.market.trading import ActionSpec, Costs, EnvSpec
from tests.market.making import make_bars, read_googl
from worker.trading.env import TradingEnv
from worker.trading.evaluate import PolicyFunction, cross_averages, evaluate, walk_policy, walk_targets
from worker.trading.market import build_market

LOOKBACK = 5
SMALL = FeatureSchema(names=("ret_1", "rsi_14"), lookback=LOOKBACK)
BARS = make_bars(1_500, gaps=(700,), seed=2)
MARKET = build_market(BARS, SMALL)
SPAN = Span(0, 1_500)
ALWAYS = {
    name: lambda obs, i=i: torch.full((len(obs),), i) for i, name in enumerate(("short", "flat", "long"))
}


def momentum(observed: torch.Tensor) -> torch.Tensor:
    """Follow the last bar's return if it is large enough."""
    last = observed[:, (LOOKBACK - 1) * 2]
    return torch.where(last.abs() < 0.3, 1, torch.where(last > 0, 2, 0))


def test_walk_equals_the_environment_step_by_step() -> None:
    spec = EnvSpec(episode_length=10**6)
    walk = walk_policy(momentum, MARKET, {"all": SPAN}, spec)["all"]
    env = TradingEnv(MARKET, SPAN, spec, num_envs=1)
    for first, count in ((503, 195), (1_203, 295)):
        env.reset(1)
        env.load_state_dict(env.state_dict() | {"t": torch.tensor([first])})
        at = int(np.flatnonzero(walk.rows == first)[0])
        for k in range(count):
            step = env.step(momentum(env.materialise(env.observe())))
            assert float(env.log_return_N) == pytest.approx(walk.log_returns[at + k], abs=1e-12)
            assert float(env.cost_N) == pytest.approx(walk.costs[at + k], abs=1e-12)
        assert step.truncated_N.all()
    assert len(walk.rows) == 195 + 295


@pytest.mark.parametrize("name", ALWAYS)
def test_fixed_positions_equal_the_policy_that_always_chooses_them(name: str) -> None:
    spec = EnvSpec()
    walk = walk_policy(ALWAYS[name], MARKET, {"all": SPAN}, spec)["all"]
    target = torch.full(
        (len(walk.rows),), {"short": -1.0, "flat": 0.0, "long": 1.0}[name], dtype=torch.float64
    )
    fixed = walk_targets(MARKET, torch.tensor(walk.rows).long(), target, spec)
    np.testing.assert_allclose(fixed.log_returns, walk.log_returns, atol=1e-12)
    np.testing.assert_allclose(fixed.costs, walk.costs, atol=1e-15)


def test_spans_walked_together_equal_spans_walked_alone() -> None:
    spans = {"a": Span(503, 600), "b": Span(1_250, 1_400)}
    together = walk_policy(momentum, MARKET, spans, EnvSpec())
    for name, span in spans.items():
        alone = walk_policy(momentum, MARKET, {name: span}, EnvSpec())[name]
        np.testing.assert_array_equal(together[name].rows, np.arange(span.start, span.stop))
        np.testing.assert_array_equal(together[name].log_returns, alone.log_returns)


def test_buy_and_hold_is_the_price_ratio_less_one_fill() -> None:
    result = evaluate(ALWAYS["flat"], MARKET, {"test": Span(1_203, 1_498)}, EnvSpec(Costs(10, 0, 0, 0)))
    held = result.spans[0].buy_and_hold
    assert held.total_return == pytest.approx(BARS.open[1_499] / BARS.open[1_204] * 0.999 - 1)
    assert (held.trades, held.exposure) == (1, 1.0)
    assert held.cost_paid == pytest.approx(0.001)


def test_moving_average_cross_by_hand() -> None:
    rows = torch.tensor([700, 1_300])
    expected = [float(BARS.close[r - 19 : r + 1].mean() > BARS.close[r - 99 : r + 1].mean()) for r in rows]
    assert cross_averages(MARKET, rows).tolist() == expected


def test_holding_policy_is_said_to_be_holding() -> None:
    result = evaluate(ALWAYS["long"], MARKET, {"test": SPAN})
    assert result.spans[0].excess_t is None
    assert any("did the same" in sentence for sentence in result.verdict)


def test_policy_that_never_trades_is_told_so() -> None:
    result = evaluate(ALWAYS["flat"], MARKET, {"test": SPAN})
    assert "The policy never traded on test." in result.verdict
    assert result.spans[0].policy == result.spans[0].flat


def test_ruined_policy_is_stopped_and_told_so() -> None:
    crash = make_bars(1_500, seed=3, volatility=0.3)
    market = build_market(crash, SMALL)
    result = evaluate(ALWAYS["short"], market, {"test": SPAN}, EnvSpec(ruin_equity=0.5))
    span = result.spans[0]
    assert span.ruined
    assert span.policy.total_return <= -0.5
    assert span.policy.exposure < 1
    assert "The policy lost its capital on test." in result.verdict


def test_free_trading_is_labelled() -> None:
    assert evaluate(momentum, MARKET, {"test": SPAN}, EnvSpec(Costs(0, 0, 0, 0))).before_costs
    assert "before costs" in evaluate(momentum, MARKET, {"test": SPAN}, EnvSpec(Costs(0, 0, 0, 0))).verdict[0]
    assert not evaluate(momentum, MARKET, {"test": SPAN}).before_costs


def test_gaussian_policies_are_clipped_to_their_range() -> None:
    spec = EnvSpec(actions=ActionSpec(kind="gaussian", low=-0.2, high=0.5))
    walk = walk_policy(lambda obs: torch.full((len(obs), 1), 3.0), MARKET, {"all": SPAN}, spec)["all"]
    assert set(walk.positions) == {0.5}


def oracle(market: Any, rows: set[int]) -> PolicyFunction:
    """A policy that knows the next open-to-open returns, but only within `rows`."""
    known = {}
    for t in rows:
        key = tuple(np.round(market.windows(torch.tensor([t]))[0].numpy(), 5))
        known[key] = 2 if market.open_T[t + 2] > market.open_T[t + 1] else 0
    width = LOOKBACK * 2
    return lambda obs: torch.tensor([known.get(tuple(np.round(o[:width].numpy(), 5)), 1) for o in obs])


def test_memorised_training_span_looks_overfitted() -> None:
    bars = make_bars(2_600, seed=8)
    market, fold = build_market(bars, SMALL), split_fold(bars, LOOKBACK)
    policy = oracle(market, set(range(fold.train.start, fold.train.stop)))
    result = evaluate(policy, market, fold.spans())
    train, _, test = result.spans
    assert train.policy.sharpe > 10
    assert train.excess_t > 1.96
    assert test.policy.trades == 0
    assert any("overfitted" in sentence for sentence in result.verdict)


def test_shipped_file_reports_dates_and_survives_json() -> None:
    bars = read_googl()
    fold = split_fold(bars)
    result = evaluate(lambda o: torch.full((len(o),), 2), build_market(bars, FeatureSchema()), fold.spans())
    assert [span.name for span in result.spans] == ["train", "validation", "test"]
    assert result.spans[0].first_bar == "2011-10-05T04:00:00+00:00"
    test = result.spans[2]
    assert asdict(test.policy) == pytest.approx(asdict(test.buy_and_hold), rel=1e-9)
    plain = json.loads(json.dumps(result.plain(), allow_nan=False))
    assert plain["spans"][1]["policy"]["periods"] == 306
    assert not any("overfitted" in sentence for sentence in result.verdict)


def test_no_spans_are_refused() -> None:
    with pytest.raises(InvalidInput):
        evaluate(momentum, MARKET, {})


def test_newey_west_statistic_by_hand() -> None:
    d = np.array([1.0, 2.0, 3.0, 6.0])
    c = d - 3
    variance = (c @ c + 2 * 0.5 * (c[1:] @ c[:-1])) / 4  # one lag: floor(4 * 0.04^(2/9)) = 1
    assert newey_west_t(d) == pytest.approx(3 / math.sqrt(variance / 4))
    assert newey_west_t(np.zeros(50)) is None


def test_verdict_needs_significance_both_ways() -> None:
    base = evaluate(momentum, MARKET, {"test": SPAN}).spans[0]
    for t, words in ((0.5, "cannot be told"), (3.0, "beat buy & hold"), (-3.0, "did worse than buy & hold")):
        fields = {name: getattr(base, name) for name in base.__slots__}
        span = type(base)(**{**fields, "excess_t": t})
        assert any(words in sentence for sentence in judge((span,), before_costs=False))
    assert sharpe_error(base.policy) > 0
