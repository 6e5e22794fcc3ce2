"""The worked example of an evaluation: a quarter of a year of made-up returns, judged by the real functions."""

from datetime import UTC, datetime

import numpy as np

from app.api.examples import DATASET_ID, JOB_ID, LATER, SHA256, plain
from app.market.curves import thin_curve
from app.market.evaluation import Evaluation, Quantiles, RandomBaseline, SpanResult, StressResult
from app.market.job_report import AssetReport, JobReport
from app.market.performance import FloatArray, Performance, measure_performance
from app.market.significance import Trials, bootstrap_intervals, deflate, measure_moments
from app.market.trading import RETAIL_COSTS, EnvSpec
from app.market.verdict import judge, looks_overfitted

YEAR = 252.0
SPANS = (
    ("train", "2017-01-03", "2017-12-29", 1),
    ("validation", "2018-01-02", "2018-04-30", 2),
    ("test", "2018-05-01", "2018-08-29", 3),
)
BARS = 60


def _returns(seed: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Log returns of the policy and of buy & hold, and the policy's positions."""
    generator = np.random.default_rng(seed)
    held = generator.normal(0.0005, 0.01, BARS)
    positions = (generator.random(BARS) < 0.6).astype(np.float64)
    return positions * held, held, positions


def _measure(logs: FloatArray, positions: FloatArray) -> Performance:
    moves = np.abs(np.diff(positions, prepend=0.0))
    return measure_performance(np.expm1(logs), positions, moves * 6e-4, YEAR)


def _span(name: str, first: str, last: str, seed: int) -> SpanResult:
    logs, held, positions = _returns(seed)
    flat, always = np.zeros(BARS), np.ones(BARS)
    intervals = bootstrap_intervals(logs, held, YEAR, samples=50)
    mine, holding = _measure(logs, positions), _measure(held, always)
    assert mine.sharpe is not None
    assert holding.sharpe is not None
    return SpanResult(
        name=name,
        first_bar=f"{first}T14:30:00+00:00",
        last_bar=f"{last}T13:30:00+00:00",
        ruined=False,
        policy=mine,
        flat=_measure(flat, flat),
        buy_and_hold=holding,
        sma_cross=holding,
        random=RandomBaseline(100, Quantiles(-0.04, 0.01, 0.06), Quantiles(-1.2, 0.4, 2.1), 0.63),
        sharpe_interval=intervals.sharpe,
        excess_per_year=float((logs - held).mean()) * YEAR,
        excess_interval=intervals.excess,
        sharpe_difference=mine.sharpe - holding.sharpe,
        sharpe_difference_interval=intervals.sharpe_difference,
    )


def _report() -> JobReport:
    spans = tuple(_span(*span) for span in SPANS)
    logs, held, positions = _returns(SPANS[-1][-1])
    moments = measure_moments(np.expm1(logs))
    deflation = deflate(moments, Trials(3, (0.02, -0.05)), YEAR)
    stress = (StressResult(2.0, 0, _measure(logs, positions)),)
    evaluation = Evaluation(
        env=EnvSpec(RETAIL_COSTS),
        before_costs=False,
        spans=spans,
        stress=stress,
        moments=moments,
        deflation=deflation,
        parameters=2_879_236,
        looks_overfitted=looks_overfitted(spans),
        verdict=judge(spans, stress, before_costs=False, deflation=deflation, parameters=2_879_236),
    )
    times = np.arange(BARS, dtype=np.int64) * 86_400_000_000 + 1_525_181_400_000_000
    asset = AssetReport(
        dataset_id=DATASET_ID,
        dataset_name="googl-daily",
        dataset_sha256=SHA256,
        evaluated_at=datetime.fromisoformat(LATER).astimezone(UTC),
        opening=3,
        openings=3,
        deflation=deflation,
        evaluation=evaluation,
        curves=(thin_curve("test", times, {"policy": logs, "buy_and_hold": held}, points=3),),
        walk_forward=None,
    )
    return JobReport(job_id=JOB_ID, job_name="googl-daily 512,256,128", assets=(asset,))


REPORT = plain(_report(), JobReport)
