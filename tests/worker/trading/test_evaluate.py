"""Evaluation: the same money as the environment's, honest baselines, plain words."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch

from app.errors import InvalidInput
from app.market.features import FeatureSchema
from app.market.significance import Interval, Trials
from app.market.splits import Span, split_fold
from app.market.trading import RETAIL_COSTS, ActionSpec, Costs, EnvSpec
from tests.market.making import make_bars, read_googl
from worker.trading.baselines import cross_averages
from worker.trading.env import TradingEnv
from worker.trading.evaluate import evaluate, examine
from worker.trading.lanes import PolicyFunction
from worker.trading.market import build_market
from worker.trading.walk import walk_policy, walk_targets

LOOKBACK = 5
SMALL = FeatureSchema(names=("ret_1", "rsi_14"), lookback=LOOKBACK)
BARS = make_bars(1_500, gaps=(700,), seed=2)
MARKET = build_market(BARS, SMALL)
SPAN = Span(0, 1_500)
ALWAYS = {
    name: lambda obs, i=i: torch.full((len(obs),), i) for i, name in enumerate(("short", "flat", "long"))
}


RETAIL = EnvSpec(RETAIL_COSTS)


def momentum(observed: torch.Tensor) -> torch.Tensor:
    """Follow the last bar's return if it is large enough."""
    last = observed[:, (LOOKBACK - 1) * 2]
    return torch.where(last.abs() < 0.3, 1, torch.where(last > 0, 2, 0))


def test_walk_equals_the_environment_step_by_step() -> None:
    spec = EnvSpec(RETAIL_COSTS, episode_length=10**6)
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
    spec = RETAIL
    walk = walk_policy(ALWAYS[name], MARKET, {"all": SPAN}, spec)["all"]
    target = torch.full(
        (len(walk.rows),), {"short": -1.0, "flat": 0.0, "long": 1.0}[name], dtype=torch.float64
    )
    fixed = walk_targets(MARKET, torch.tensor(walk.rows).long(), target, spec)
    np.testing.assert_allclose(fixed.log_returns, walk.log_returns, atol=1e-12)
    np.testing.assert_allclose(fixed.costs, walk.costs, atol=1e-15)


def test_bars_reckoned_in_pieces_earn_the_same_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.cat([torch.arange(503, 698), torch.arange(1_203, 1_498)])
    target = torch.tensor(np.random.default_rng(1).choice([-1.0, 0.0, 1.0], len(rows)))
    whole = walk_targets(MARKET, rows, target, RETAIL)
    monkeypatch.setattr("worker.trading.walk.BARS_AT_ONCE", 37)
    pieces = walk_targets(MARKET, rows, target, RETAIL)
    for name in ("rows", "log_returns", "positions", "costs"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(pieces, name))


def test_prices_on_the_host_are_the_market_s_and_leave_its_features_where_they_are() -> None:
    host = MARKET.prices_on_host()
    assert host.device == torch.device("cpu")
    assert len(host.features_TF) == 0
    for name in ("open_T", "close_T", "sigma_T", "natr_T", "periods_per_year_T"):
        assert getattr(host, name) is getattr(MARKET, name)  # no copy where they are there already


def test_spans_walked_together_equal_spans_walked_alone() -> None:
    spans = {"a": Span(503, 600), "b": Span(1_250, 1_400)}
    together = walk_policy(momentum, MARKET, spans, RETAIL)
    for name, span in spans.items():
        alone = walk_policy(momentum, MARKET, {name: span}, RETAIL)[name]
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
    result = evaluate(ALWAYS["long"], MARKET, {"test": SPAN}, RETAIL)
    assert result.spans[0].excess_interval == Interval(0.0, 0.0)
    assert result.spans[0].beats_holding is None
    assert any("did the same" in sentence for sentence in result.verdict)


def test_policy_that_never_trades_is_told_so() -> None:
    result = evaluate(ALWAYS["flat"], MARKET, {"test": SPAN}, RETAIL)
    assert "The policy never traded on test." in result.verdict
    assert result.spans[0].policy == result.spans[0].flat


def test_ruined_policy_is_stopped_and_told_so() -> None:
    crash = make_bars(1_500, seed=3, volatility=0.3)
    market = build_market(crash, SMALL)
    result = evaluate(ALWAYS["short"], market, {"test": SPAN}, EnvSpec(RETAIL_COSTS, ruin_equity=0.5))
    span = result.spans[0]
    assert span.ruined
    assert span.policy.total_return <= -0.5
    assert span.policy.exposure < 1
    assert "The policy lost its capital on test." in result.verdict


def test_free_trading_is_labelled() -> None:
    assert evaluate(momentum, MARKET, {"test": SPAN}, EnvSpec(Costs(0, 0, 0, 0))).before_costs
    assert "before costs" in evaluate(momentum, MARKET, {"test": SPAN}, EnvSpec(Costs(0, 0, 0, 0))).verdict[0]
    assert not evaluate(momentum, MARKET, {"test": SPAN}, RETAIL).before_costs


def test_gaussian_policies_are_clipped_to_their_range() -> None:
    spec = EnvSpec(RETAIL_COSTS, actions=ActionSpec(kind="gaussian", low=-0.2, high=0.5))
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
    result = evaluate(policy, market, fold.spans(), RETAIL)
    train, _, test = result.spans
    assert train.policy.sharpe > 10
    assert train.beats_holding
    assert result.looks_overfitted
    assert test.policy.trades == 0
    assert any("overfitted" in sentence for sentence in result.verdict)


def test_shipped_file_reports_dates_and_survives_json() -> None:
    bars = read_googl()
    fold = split_fold(bars)
    result = evaluate(
        lambda o: torch.full((len(o),), 2), build_market(bars, FeatureSchema()), fold.spans(), RETAIL
    )
    assert [span.name for span in result.spans] == ["train", "validation", "test"]
    assert result.spans[0].first_bar == "2011-10-05T04:00:00+00:00"
    test = result.spans[2]
    assert asdict(test.policy) == pytest.approx(asdict(test.buy_and_hold), rel=1e-9)
    plain = json.loads(json.dumps(result.plain(), allow_nan=False))
    assert plain["spans"][1]["policy"]["periods"] == 306
    assert not any("overfitted" in sentence for sentence in result.verdict)


def test_no_spans_are_refused() -> None:
    with pytest.raises(InvalidInput):
        evaluate(momentum, MARKET, {}, RETAIL)


def test_the_registry_s_trials_and_the_network_s_size_are_weighed() -> None:
    fold = split_fold(make_bars(2_600, seed=8), LOOKBACK)
    market = build_market(make_bars(2_600, seed=8), SMALL)
    seen = examine(momentum, market, fold.spans(), RETAIL, trials=Trials(5, (0.1, -0.1)), parameters=77)
    assert seen.evaluation.deflation.trials == 5
    assert seen.evaluation.parameters == 77
    assert any("opened 5 times" in sentence for sentence in seen.evaluation.verdict)
    assert evaluate(momentum, market, fold.spans(), RETAIL).deflation is None


def test_curves_and_returns_are_those_of_the_figures() -> None:
    seen = examine(momentum, MARKET, {"train": Span(503, 700), "test": Span(1_203, 1_498)}, RETAIL)
    test = seen.evaluation.spans[1]
    assert [curve.name for curve in seen.curves] == ["train", "test"]
    for name, performance in (("policy", test.policy), ("buy_and_hold", test.buy_and_hold)):
        assert seen.curves[1].equity[name][-1] == pytest.approx(1 + performance.total_return, rel=1e-5)
        assert min(seen.curves[1].drawdown[name]) == pytest.approx(performance.max_drawdown, rel=1e-5)
    assert np.expm1(seen.returns.policy_logs.sum()) == pytest.approx(test.policy.total_return)
    assert seen.returns.utc_us[0] == BARS.utc_us[1_205]  # decided at 1203, earned at the open of 1205
    assert seen.returns.fresh.sum() == 1


def test_a_gap_within_the_span_begins_a_fresh_account() -> None:
    held = evaluate(ALWAYS["long"], MARKET, {"test": SPAN}, RETAIL).spans[0]
    assert held.policy.trades == held.buy_and_hold.trades == 2
