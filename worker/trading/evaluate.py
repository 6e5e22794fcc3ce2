"""A deterministic policy over whole spans on fresh accounts, with all that it must be compared with."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import torch

from app.errors import InvalidInput
from app.market.curves import Curve, thin_curve
from app.market.evaluation import Evaluation, SpanResult
from app.market.performance import sharpe_ratio
from app.market.returns import SpanReturns
from app.market.significance import Trials, bootstrap_intervals, deflate, measure_moments
from app.market.splits import Span
from app.market.trading import EnvSpec
from app.market.verdict import judge, looks_overfitted
from worker.trading.baselines import Baselines, draw_random, stress, walk_baselines
from worker.trading.lanes import PolicyFunction
from worker.trading.market import MarketTensors
from worker.trading.walk import Walk, walk_policy


@dataclass(frozen=True, eq=False)
class Examined:
    """An evaluation with the histories that it was made from."""

    evaluation: Evaluation
    curves: tuple[Curve, ...]
    """Equity and drawdown of each span, thinned."""
    returns: SpanReturns
    """The last span, bar by bar."""


def evaluate(
    policy: PolicyFunction, market: MarketTensors, spans: Mapping[str, Span], spec: EnvSpec
) -> Evaluation:
    """Judge a policy on spans (such as `fold.spans()`); as `examine`, outside of the registry."""
    return examine(policy, market, spans, spec).evaluation


def examine(
    policy: PolicyFunction,
    market: MarketTensors,
    spans: Mapping[str, Span],
    spec: EnvSpec,
    *,
    trials: Trials | None = None,
    parameters: int | None = None,
) -> Examined:
    """Judge a policy on spans in the order given: training first, test last.

    `trials` are the runs that have opened the last span, `parameters` the size of the policy's network. A
    position left at the end of a span or segment is marked to the last open, not closed. Raises
    InvalidInput without spans, InvalidDataset for a span that allows no decision.
    """
    if not spans:
        raise InvalidInput("there is no span to evaluate on", hint="give 1 span or more", pointer="spans")
    walks = walk_policy(policy, market, spans, spec)
    market = market.prices_on_host()  # the policy has seen all that it was to see
    results: tuple[SpanResult, ...] = ()
    curves: tuple[Curve, ...] = ()
    for name in spans:
        last = walks.pop(name)  # what was judged makes room for the next
        beside = walk_baselines(market, torch.tensor(last.rows).long(), spec)
        results += (_judge_span(name, last, beside, market, spec),)
        curves += (_curve(name, last, beside, market),)
    moments = measure_moments(np.expm1(last.log_returns))
    deflation = None if trials is None else deflate(moments, trials, market.periods_per_year)
    stressed = stress(last, market, spec)
    free = spec.costs.free
    words = judge(results, stressed, before_costs=free, deflation=deflation, parameters=parameters)
    evaluation = Evaluation(
        env=spec,
        before_costs=free,
        spans=results,
        stress=stressed,
        moments=moments,
        deflation=deflation,
        parameters=parameters,
        looks_overfitted=looks_overfitted(results),
        verdict=words,
    )
    return Examined(evaluation, curves, _returns(last, beside.buy_and_hold, market))


def _judge_span(name: str, walk: Walk, beside: Baselines, market: MarketTensors, spec: EnvSpec) -> SpanResult:
    year, holding = market.periods_per_year, beside.buy_and_hold
    intervals = bootstrap_intervals(walk.log_returns, holding.log_returns, year)
    mine, other = (sharpe_ratio(np.expm1(each.log_returns), year) for each in (walk, holding))
    return SpanResult(
        name=name,
        first_bar=_iso(market, int(walk.rows[0])),
        last_bar=_iso(market, int(walk.rows[-1])),
        ruined=walk.ruined,
        policy=walk.measure(year),
        flat=beside.flat.measure(year),
        buy_and_hold=holding.measure(year),
        sma_cross=beside.sma_cross.measure(year),
        random=draw_random(walk, market, spec),
        sharpe_interval=intervals.sharpe,
        excess_per_year=float((walk.log_returns - holding.log_returns).mean()) * year,
        excess_interval=intervals.excess,
        sharpe_difference=None if mine is None or other is None else mine - other,
        sharpe_difference_interval=intervals.sharpe_difference,
    )


def _curve(name: str, walk: Walk, beside: Baselines, market: MarketTensors) -> Curve:
    logs = {
        "policy": walk.log_returns,
        "buy_and_hold": beside.buy_and_hold.log_returns,
        "sma_cross": beside.sma_cross.log_returns,
    }
    return thin_curve(name, market.utc_us[walk.rows.astype(np.int64) + 2], logs)


def _returns(walk: Walk, holding: Walk, market: MarketTensors) -> SpanReturns:
    return SpanReturns(
        utc_us=market.utc_us[walk.rows.astype(np.int64) + 2],
        policy_logs=walk.log_returns,
        positions=walk.positions,
        costs=walk.costs,
        fresh=walk.fresh,
        holding_logs=holding.log_returns,
        holding_costs=holding.costs,
    )


def _iso(market: MarketTensors, row: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(market.utc_us[row]))
    return moment.isoformat()
