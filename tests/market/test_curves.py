"""Curves are thinned without losing the deepest fall, and folds are joined exactly."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.market.curves import thin_curve
from app.market.performance import max_drawdown, measure_performance
from app.market.returns import SpanReturns
from app.market.walk_forward import describe_fold, join_folds
from tests.market.evaluating import make_evaluation

DAY = 86_400_000_000


def times(count: int, first: int = 0) -> np.ndarray:
    return (np.arange(count, dtype=np.int64) + first) * DAY


def test_three_bars_by_hand() -> None:
    curve = thin_curve("test", times(3), {"policy": np.log([1.1, 0.5, 1.2])})
    assert curve.seconds == (0, 86_400, 172_800)
    assert curve.equity["policy"] == pytest.approx((1.1, 0.55, 0.66))
    assert curve.drawdown["policy"] == pytest.approx((0.0, -0.5, -0.4))


@given(st.lists(st.floats(-0.3, 0.3), min_size=1, max_size=300), st.integers(1, 50))
def test_thinning_keeps_the_end_and_the_deepest_fall(logs: list[float], points: int) -> None:
    values = np.array(logs)
    curve = thin_curve("test", times(len(values)), {"policy": values}, points)
    assert len(curve.seconds) == min(points, len(values))
    assert curve.equity["policy"][-1] == pytest.approx(np.exp(values.sum()), rel=1e-5)
    assert min(curve.drawdown["policy"]) == pytest.approx(max_drawdown(np.expm1(values)), rel=1e-5, abs=1e-9)


def make_returns(first: int, count: int = 40, seed: int = 0) -> SpanReturns:
    rng = np.random.default_rng(seed)
    return SpanReturns(
        utc_us=times(count, first),
        policy_logs=rng.normal(0, 0.01, count),
        positions=np.ones(count),
        costs=np.full(count, 1e-4),
        fresh=np.arange(count) == 0,
        holding_logs=rng.normal(0, 0.01, count),
        holding_costs=np.zeros(count),
    )


def test_returns_come_back_from_their_file_and_make_the_same_bytes(tmp_path: Path) -> None:
    returns = make_returns(0)
    for name in ("a", "b"):
        returns.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    again = SpanReturns.load(tmp_path / "a")
    np.testing.assert_array_equal(again.policy_logs, returns.policy_logs)
    np.testing.assert_array_equal(again.fresh, returns.fresh)


def test_joined_folds_are_one_history_in_the_order_of_time() -> None:
    later, earlier = make_returns(40, seed=1), make_returns(0, seed=2)
    joined = join_folds([later, earlier], 252.0)
    logs = np.concatenate([earlier.policy_logs, later.policy_logs])
    fresh = np.concatenate([earlier.fresh, later.fresh])
    whole = measure_performance(np.expm1(logs), np.ones(80), np.full(80, 1e-4), 252.0, fresh=fresh)
    assert joined.policy == whole
    assert joined.policy.trades == 2  # each fold buys anew
    assert joined.buy_and_hold.trades == 2
    assert joined.curve.equity["policy"][-1] == pytest.approx(np.exp(logs.sum()), rel=1e-5)
    assert joined.curve.seconds[0] == 0
    assert "Over all folds' test spans the policy" in joined.verdict


def test_a_fold_s_line_shows_training_beside_test() -> None:
    evaluation = make_evaluation()
    row = describe_fold(2, "job_2", evaluation)
    assert (row.fold, row.job_id, row.train_bars) == (2, "job_2", 250)
    assert row.test == evaluation.spans[-1].policy
    assert row.train_sharpe == evaluation.spans[0].policy.sharpe
