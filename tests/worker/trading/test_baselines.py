"""Baselines by hand, and what stress must never do."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from app.market.features import FeatureSchema
from app.market.trading import RETAIL_COSTS, Costs, EnvSpec
from tests.market.making import make_bars
from worker.trading.baselines import (
    COST_FACTORS,
    draw_random,
    scale_costs,
    stress,
    walk_baselines,
)
from worker.trading.market import build_market
from worker.trading.walk import Walk, shift_targets, walk_targets

MARKET = build_market(make_bars(1_500, gaps=(700,), seed=2), FeatureSchema(names=("ret_1",), lookback=5))
ROWS = torch.cat([torch.arange(503, 698), torch.arange(1_203, 1_498)])
RETAIL = EnvSpec(RETAIL_COSTS)


def walk_of(positions: list[float], spec: EnvSpec = RETAIL) -> Walk:
    target = torch.tensor(np.resize(np.array(positions), len(ROWS)), dtype=torch.float64)
    return walk_targets(MARKET, ROWS, target, spec)


@settings(max_examples=40)
@given(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), min_size=1, max_size=60))
def test_the_same_positions_earn_less_at_higher_costs(positions: list[float]) -> None:
    walk = walk_of(positions)
    cases = stress(walk, MARKET, RETAIL)
    assert [(case.cost_factor, case.delay_bars) for case in cases] == [
        *((f, 0) for f in COST_FACTORS),
        (1.0, 1),
    ]
    totals = [case.performance.total_return for case in cases[:4]]
    assert all(cheap >= dear - 1e-12 for cheap, dear in itertools.pairwise(totals))
    assert cases[0].performance.cost_paid == 0
    assert cases[1].performance == walk.measure(MARKET.periods_per_year)
    paid = [case.performance.cost_paid for case in cases[:4]]
    assert paid[2:] == pytest.approx([2 * paid[1], 5 * paid[1]])


@settings(max_examples=20)
@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=60))
def test_a_delay_shifts_positions_by_one_bar_within_each_segment(positions: list[float]) -> None:
    target = torch.tensor(walk_of(positions).positions)
    late = shift_targets(ROWS, target)
    assert late[0] == late[195] == 0  # each segment begins flat
    assert torch.equal(late[1:195], target[:194])
    assert torch.equal(late[196:], target[195:-1])
    delayed = stress(walk_of(positions), MARKET, RETAIL)[-1].performance
    assert delayed == walk_targets(MARKET, ROWS, late, RETAIL).measure(MARKET.periods_per_year)


def test_costs_stay_within_what_costs_may_be() -> None:
    dear = EnvSpec(Costs(5_000, 1, 0.02, 300))
    assert scale_costs(dear, 5).costs == Costs(10_000, 5, 0.1, 1_500)
    assert scale_costs(dear, 0).costs.free


def test_random_draws_keep_positions_and_nearly_the_turnover() -> None:
    walk = walk_of([1, 1, 1, 0, -1, -1])
    spec = replace(RETAIL, costs=Costs(0, 0, 0, 0))
    drawn = draw_random(walk, MARKET, spec, draws=50)
    assert drawn.draws == 50
    assert drawn.total_return.low <= drawn.total_return.median <= drawn.total_return.high
    assert drawn == draw_random(walk, MARKET, spec, draws=50)


def test_random_draws_of_one_position_are_that_position_and_beat_nothing() -> None:
    held = walk_of([1.0])
    drawn = draw_random(held, MARKET, RETAIL, draws=5)
    total = held.measure(MARKET.periods_per_year).total_return
    assert drawn.total_return.low == pytest.approx(total)
    assert drawn.total_return.high == pytest.approx(total)
    assert draw_random(walk_of([0.0]), MARKET, RETAIL, draws=5).sharpe is None


def test_a_draw_earns_what_walking_its_shifted_positions_earns() -> None:
    walk = walk_of([1, 0, -1, -1, 0.5])
    shift = int(np.random.default_rng(3).integers(1, len(ROWS), size=1)[0])
    shifted = torch.tensor(walk.positions).roll(shift)
    expected = np.expm1(walk_targets(MARKET, ROWS, shifted, RETAIL).log_returns.sum())
    assert draw_random(walk, MARKET, RETAIL, draws=1, seed=3).total_return.median == pytest.approx(expected)


def test_perfect_timing_beats_every_draw() -> None:
    ahead = (MARKET.open_T[ROWS + 2] > MARKET.open_T[ROWS + 1]).double()
    walk = walk_targets(MARKET, ROWS, ahead, RETAIL)
    assert draw_random(walk, MARKET, RETAIL).beaten == 1.0


def test_flat_earns_nothing_and_pays_nothing() -> None:
    flat = walk_baselines(MARKET, ROWS, RETAIL).flat.measure(MARKET.periods_per_year)
    assert (flat.total_return, flat.cost_paid, flat.trades, flat.exposure) == (0, 0, 0, 0)
