"""The verdict in plain words: no claim that the figures do not carry."""

import math

from app.market.evaluation import RandomBaseline, SpanResult, StressResult
from app.market.performance import Performance
from app.market.significance import Deflation

SIGNIFICANT = 1.96
"""Standard errors from which a distance is called one: 5 % two-sided for a normal statistic."""

CUSTOMARY = 0.95
"""Probability from which a deflated Sharpe ratio, or a part of random draws, is called evidence."""


def judge(
    spans: tuple[SpanResult, ...],
    stress: tuple[StressResult, ...],
    *,
    before_costs: bool,
    deflation: Deflation | None = None,
    parameters: int | None = None,
) -> tuple[str, ...]:
    """The verdict on the last span, and on the distance between the first (training) and it."""
    last = spans[-1]
    words = ["All figures are before costs: they are no trading result."] if before_costs else []
    if last.ruined:
        words.append(f"The policy lost its capital on {last.name}.")
    elif last.policy.trades == 0:
        words.append(f"The policy never traded on {last.name}.")
    words.append(_against_holding(last))
    if last.policy.trades:
        if last.policy.total_return <= 0:
            words.append(f"It did not beat staying out of the market on {last.name}.")
        words += [_against_chance(last.name, last.random), *_under_stress(last, stress)]
    words += _in_light_of_trials(last, deflation)
    if looks_overfitted(spans):
        words.append(_overfitted(spans[0], last))
        words += _bigger_is_not_better(spans[0].policy.periods, parameters)
    return tuple(words)


def looks_overfitted(spans: tuple[SpanResult, ...]) -> bool:
    """Whether the first span's Sharpe ratio is above the last one's by 1.96 standard errors of their difference."""
    first, last = spans[0].policy, spans[-1].policy
    if len(spans) < 2 or first.sharpe is None:
        return False
    error = math.hypot(sharpe_error(first), sharpe_error(last))
    return first.sharpe - (last.sharpe or 0.0) > SIGNIFICANT * error


def sharpe_error(performance: Performance) -> float:
    """Standard error of an annual Sharpe ratio of independent returns (Lo 2002, eq. 9)."""
    per_year = performance.periods / performance.years
    return math.sqrt((1 + (performance.sharpe or 0.0) ** 2 / (2 * per_year)) / performance.years)


def _against_holding(span: SpanResult) -> str:
    low, high = span.excess_interval.low, span.excess_interval.high
    if low == high == 0:
        return f"On {span.name} the policy is not distinguishable from buy & hold: it did the same."
    figures = f"{span.excess_per_year:+.1%} of log growth a year, 95 % interval {low:+.1%} to {high:+.1%}"
    if span.beats_holding is None:
        return (
            f"On {span.name} the policy is not distinguishable from buy & hold: {figures}, which contains 0."
        )
    verb = "beat" if span.beats_holding else "did worse than"
    return f"On {span.name} the policy {verb} buy & hold: {figures}."


def _against_chance(name: str, random: RandomBaseline) -> str:
    draws = f"{random.beaten:.0%} of {random.draws} draws of the same positions at random times"
    if random.beaten >= CUSTOMARY:
        return f"Its timing on {name} did better than {draws}."
    return f"Its timing is not distinguishable from chance: on {name} it did better than {draws} only."


def _under_stress(last: SpanResult, stress: tuple[StressResult, ...]) -> list[str]:
    """Where a profit at the stated conditions turns into none."""
    if last.policy.total_return <= 0:
        return []
    lost = [case for case in stress if case.performance.total_return <= 0]
    costs = [case.cost_factor for case in lost if case.cost_factor > 1]
    words = [f"Its profit is gone at {min(costs):g} times the costs."] if costs else []
    return words + (
        ["Its profit is gone if fills come one bar later."] if any(c.delay_bars for c in lost) else []
    )


def _in_light_of_trials(last: SpanResult, deflation: Deflation | None) -> list[str]:
    if deflation is None:
        return []
    times = (
        "once, by this run" if deflation.trials == 1 else f"{deflation.trials} times, by this run and others"
    )
    words = [f"This test span has been opened {times}."]
    if deflation.deflated_sharpe is None or (last.policy.sharpe or 0.0) <= 0:
        return words
    bar = (
        "0"
        if deflation.trials == 1
        else f"{deflation.lucky_sharpe:.2f}, what the luckiest of them would show"
    )
    chance = f"{deflation.deflated_sharpe:.0%}"
    known = (
        ""
        if deflation.deflated_sharpe >= CUSTOMARY
        else f"; below {CUSTOMARY:.0%} it is no evidence of skill"
    )
    return [*words, f"With a probability of {chance} its true Sharpe ratio is above {bar}{known}."]


def _overfitted(train: SpanResult, test: SpanResult) -> str:
    return (
        f"It looks overfitted: Sharpe {train.policy.sharpe:.2f} on {train.name}, "
        f"{test.policy.sharpe or 0.0:.2f} on {test.name}, further apart than {SIGNIFICANT} standard errors."
    )


def _bigger_is_not_better(bars: int, parameters: int | None) -> list[str]:
    if parameters is None or parameters <= bars:
        return []
    return [
        (
            f"Bigger is not better on little data: {parameters:,} parameters learned from {bars:,} training bars, "
            f"{parameters / bars:,.0f} for each; try a smaller network, fewer features or more bars."
        )
    ]
