"""The verdict says what the figures carry, and no more."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.market.evaluation import SpanResult, StressResult
from app.market.significance import Deflation, Interval
from app.market.verdict import judge, looks_overfitted, sharpe_error
from tests.market.evaluating import make_evaluation, make_performance, make_span


def words_on(*spans: SpanResult, stress: tuple[StressResult, ...] = (), **known: object) -> str:
    return " ".join(judge(spans, stress, before_costs=False, **known))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("excess", "interval", "words"),
    [
        (0.02, Interval(-0.1, 0.14), "not distinguishable from buy & hold: +2.0% of log growth a year"),
        (0.30, Interval(0.1, 0.5), "the policy beat buy & hold: +30.0%"),
        (-0.30, Interval(-0.5, -0.1), "the policy did worse than buy & hold: -30.0%"),
        (0.0, Interval(0.0, 0.0), "not distinguishable from buy & hold: it did the same"),
    ],
)
def test_a_difference_is_claimed_only_where_the_interval_leaves_out_0(
    excess: float, interval: Interval, words: str
) -> None:
    assert words in words_on(make_span(excess_per_year=excess, excess_interval=interval))


@given(low=st.floats(-2, 2), width=st.floats(0, 2), share=st.floats(0, 1))
def test_no_claim_ever_contradicts_its_interval(low: float, width: float, share: float) -> None:
    span = make_span(excess_per_year=low + share * width, excess_interval=Interval(low, low + width))
    words = words_on(span)
    assert ("not distinguishable from buy & hold" in words) == (low <= 0 <= low + width)
    assert ("beat buy & hold" in words) == (low > 0)


def test_training_far_above_test_looks_overfitted_and_the_rule_is_stated() -> None:
    train = make_span("train", policy=make_performance(sharpe=8.0, periods=500, years=2.0))
    test = make_span(policy=make_performance(sharpe=0.1))
    assert looks_overfitted((train, test))
    words = words_on(train, test, parameters=3_000_000)
    assert (
        "It looks overfitted: Sharpe 8.00 on train, 0.10 on test, further apart than 1.96 standard errors."
        in words
    )
    assert (
        "Bigger is not better on little data: 3,000,000 parameters learned from 500 training bars, 6,000"
        in words
    )
    assert "Bigger" not in words_on(train, test, parameters=400)


def test_a_distance_that_chance_explains_is_not_called_overfitting() -> None:
    train, test = make_span("train"), make_span()
    error = (2 * sharpe_error(test.policy) ** 2) ** 0.5
    assert test.policy.sharpe is not None
    for factor, expected in ((1.9, False), (2.0, True)):
        far = replace(train, policy=replace(train.policy, sharpe=test.policy.sharpe + factor * error))
        same_error = abs(sharpe_error(far.policy) - sharpe_error(test.policy)) < 0.01
        assert same_error
        assert looks_overfitted((far, test)) is expected
    assert not looks_overfitted((test,))


def test_profit_that_does_not_survive_stress_is_said_to_be_gone() -> None:
    good, bad = make_performance(total_return=0.1), make_performance(total_return=-0.1)
    span = make_span(policy=good)
    stress = (
        StressResult(1.0, 0, good),
        StressResult(2.0, 0, bad),
        StressResult(5.0, 0, bad),
        StressResult(1.0, 1, bad),
    )
    words = words_on(span, stress=stress)
    assert "Its profit is gone at 2 times the costs." in words
    assert "Its profit is gone if fills come one bar later." in words
    assert "profit" not in words_on(make_span(policy=bad), stress=stress)


def test_trials_are_said_and_a_low_probability_is_no_evidence() -> None:
    span = make_span(policy=make_performance(sharpe=1.0))
    words = words_on(span, deflation=Deflation(7, 0.6, 0.9, 0.55))
    assert "This test span has been opened 7 times" in words
    assert "With a probability of 55% its true Sharpe ratio is above 0.90" in words
    assert "no evidence of skill" in words
    assert "opened once" in words_on(span, deflation=Deflation(1, 0.0, 0.0, 0.99))
    assert "no evidence" not in words_on(span, deflation=Deflation(1, 0.0, 0.0, 0.99))


def test_ruin_idleness_and_free_trading_are_named() -> None:
    assert "lost its capital on test" in words_on(make_span(ruined=True))
    assert "never traded on test" in words_on(make_span(policy=make_performance(trades=0)))
    assert judge((make_span(),), (), before_costs=True)[0].startswith("All figures are before costs")


def test_an_evaluation_survives_plain_types() -> None:
    evaluation = make_evaluation()
    assert type(evaluation).from_plain(evaluation.plain()) == evaluation
    assert [span["name"] for span in evaluation.summary()["spans"]] == ["train", "validation", "test"]
