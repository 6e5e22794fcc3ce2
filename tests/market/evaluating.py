"""Evaluations with sensible values, for tests that care about one thing at a time."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from app.market.curves import thin_curve
from app.market.evaluation import Evaluation, Quantiles, RandomBaseline, SpanResult, StressResult
from app.market.job_report import AssetReport, JobReport
from app.market.performance import Performance, measure_performance
from app.market.significance import Deflation, Interval, Trials, bootstrap_intervals, deflate, measure_moments
from app.market.trading import RETAIL_COSTS, EnvSpec
from app.market.verdict import judge, looks_overfitted
from app.market.walk_forward import WalkForward


def make_performance(mean: float = 0.0005, bars: int = 250, seed: int = 1, **values: Any) -> Performance:
    returns = np.random.default_rng(seed).normal(mean, 0.01, bars)
    return replace(measure_performance(returns, np.ones(bars), np.zeros(bars), 252.0), **values)


def make_span(name: str = "test", **values: Any) -> SpanResult:
    intervals = bootstrap_intervals(
        np.random.default_rng(2).normal(0, 0.01, 100), np.zeros(100), 252.0, samples=20
    )
    first = SpanResult(
        name=name,
        first_bar="2020-01-02T00:00:00+00:00",
        last_bar="2020-12-30T00:00:00+00:00",
        ruined=False,
        policy=make_performance(),
        flat=measure_performance(np.zeros(250), np.zeros(250), np.zeros(250), 252.0),
        buy_and_hold=make_performance(seed=2),
        sma_cross=make_performance(seed=3),
        random=RandomBaseline(100, Quantiles(-0.1, 0.0, 0.1), Quantiles(-1.0, 0.0, 1.0), 0.4),
        sharpe_interval=intervals.sharpe,
        excess_per_year=0.02,
        excess_interval=Interval(-0.1, 0.14),
        sharpe_difference=0.1,
        sharpe_difference_interval=Interval(-0.9, 1.1),
    )
    return replace(first, **values)


def make_evaluation(**values: Any) -> Evaluation:
    spans = values.pop("spans", (make_span("train"), make_span("validation"), make_span("test")))
    moments = measure_moments(np.random.default_rng(1).normal(0.0005, 0.01, 250))
    deflation = deflate(moments, Trials(1), 252.0)
    stress = (
        StressResult(1.0, 0, spans[-1].policy),
        StressResult(2.0, 0, make_performance(-0.002)),
        StressResult(1.0, 1, make_performance(0.001)),
    )
    words = judge(spans, stress, before_costs=False, deflation=deflation, parameters=10)
    made = Evaluation(
        env=EnvSpec(RETAIL_COSTS),
        before_costs=False,
        spans=spans,
        stress=stress,
        moments=moments,
        deflation=deflation,
        parameters=10,
        looks_overfitted=looks_overfitted(spans),
        verdict=words,
    )
    return replace(made, **values)


def make_report(
    dataset_name: str = "googl", *, walk_forward: WalkForward | None = None, **values: Any
) -> JobReport:
    evaluation = make_evaluation()
    logs = np.random.default_rng(4).normal(0, 0.01, (3, 90))
    times = np.arange(90, dtype=np.int64) * 86_400_000_000 + 1_577_836_800_000_000
    strategies = dict(zip(("policy", "buy_and_hold", "sma_cross"), logs, strict=True))
    curves = tuple(thin_curve(span.name, times, strategies) for span in evaluation.spans)
    assert isinstance(evaluation.deflation, Deflation)
    asset = AssetReport(
        dataset_id="dataset_1",
        dataset_name=dataset_name,
        dataset_sha256="a" * 64,
        evaluated_at=datetime(2026, 11, 23, 12, tzinfo=UTC),
        opening=1,
        openings=3,
        deflation=evaluation.deflation,
        evaluation=evaluation,
        curves=curves,
        walk_forward=walk_forward,
    )
    return JobReport(**{"job_id": "job_1", "job_name": "first", "assets": (asset,), **values})
