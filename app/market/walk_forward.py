"""Walk-forward: the folds beside each other, and their test spans joined to one history."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from app.market.curves import Curve, thin_curve
from app.market.evaluation import Evaluation
from app.market.performance import Performance, measure_performance
from app.market.returns import SpanReturns
from app.market.significance import Interval, bootstrap_intervals
from app.network.shape import DOCUMENTED


@dataclass(frozen=True, slots=True)
class FoldRow:
    """One finished fold."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    fold: int
    """Its number, from 1."""
    job_id: str
    """The job that trained it."""
    train_bars: int
    """Decisions that it learned from."""
    first_bar: str
    """First bar of its test span."""
    last_bar: str
    """Last bar of its test span."""
    train_sharpe: float | None
    """Sharpe ratio on its training span."""
    validation_sharpe: float | None
    """Sharpe ratio on its validation span."""
    test: Performance
    """The policy on its test span."""
    holding: Performance
    """Buy & hold on its test span."""
    excess_per_year: float
    """Mean log return over buy & hold, per year."""


@dataclass(frozen=True, slots=True)
class JoinedFolds:
    """The test spans of all folds as one out-of-sample history; each begins with a fresh account."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    policy: Performance
    """The folds' policies, one after the other."""
    buy_and_hold: Performance
    """Bought anew at each fold's start."""
    sharpe_interval: Interval | None
    """Of the policy's Sharpe ratio; null if nothing moved."""
    excess_per_year: float
    """Mean log return over buy & hold, per year."""
    excess_interval: Interval
    """Of it."""
    curve: Curve
    """Equity and drawdown."""
    verdict: str
    """What it says, in a sentence."""


@dataclass(frozen=True, slots=True)
class WalkForward:
    """The folds of one group of jobs."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    group: str
    """What the jobs of the group have in common."""
    folds: int
    """How many folds there are."""
    finished: tuple[FoldRow, ...]
    """Those that are evaluated, in the order of time."""
    missing: tuple[int, ...]
    """Numbers of the others."""
    joined: JoinedFolds | None
    """All test spans together; null while one is missing."""


def describe_fold(fold: int, job_id: str, evaluation: Evaluation) -> FoldRow:
    """A fold's line of the table."""
    by_name = {span.name: span for span in evaluation.spans}
    train, test = by_name["train"], by_name["test"]
    return FoldRow(
        fold=fold,
        job_id=job_id,
        train_bars=train.policy.periods,
        first_bar=test.first_bar,
        last_bar=test.last_bar,
        train_sharpe=train.policy.sharpe,
        validation_sharpe=by_name["validation"].policy.sharpe,
        test=test.policy,
        holding=test.buy_and_hold,
        excess_per_year=test.excess_per_year,
    )


def join_folds(parts: Sequence[SpanReturns], periods_per_year: float) -> JoinedFolds:
    """Judge the test spans of all folds as one history; exact, from every bar."""
    whole = SpanReturns.join(list(parts))
    always = np.ones_like(whole.positions)
    returns, held = np.expm1(whole.policy_logs), np.expm1(whole.holding_logs)
    year = periods_per_year
    policy = measure_performance(returns, whole.positions, whole.costs, year, fresh=whole.fresh)
    holding = measure_performance(held, always, whole.holding_costs, year, fresh=whole.fresh)
    intervals = bootstrap_intervals(whole.policy_logs, whole.holding_logs, year)
    excess = float((whole.policy_logs - whole.holding_logs).mean()) * year
    logs = {"policy": whole.policy_logs, "buy_and_hold": whole.holding_logs}
    return JoinedFolds(
        policy=policy,
        buy_and_hold=holding,
        sharpe_interval=intervals.sharpe,
        excess_per_year=excess,
        excess_interval=intervals.excess,
        curve=thin_curve("joined", whole.utc_us, logs),
        verdict=_judge_joined(excess, intervals.excess),
    )


def _judge_joined(excess: float, interval: Interval) -> str:
    figures = f"{excess:+.1%} of log growth a year, 95 % interval {interval.low:+.1%} to {interval.high:+.1%}"
    if 0.0 in interval:
        return f"Over all folds' test spans the policy is not distinguishable from buy & hold: {figures}, which contains 0."
    verb = "beat" if excess > 0 else "did worse than"
    return f"Over all folds' test spans the policy {verb} buy & hold: {figures}."
