"""Performance by hand and against empyrical-reloaded."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.market.performance import Performance, measure_performance

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import empyrical


def measure(returns: Any, positions: Any = None, costs: Any = None, year: float = 252.0) -> Performance:
    returns = np.asarray(returns, dtype=np.float64)
    positions = np.ones_like(returns) if positions is None else np.asarray(positions, dtype=np.float64)
    costs = np.zeros_like(returns) if costs is None else np.asarray(costs, dtype=np.float64)
    return measure_performance(returns, positions, costs, year)


def test_four_bars_by_hand() -> None:
    result = measure([0.1, -0.5, 0.0, 1.0], [1, 1, -1, 0], [0.01, 0.0, 0.02, 0.01], year=4)
    assert result.total_return == pytest.approx(0.1)
    assert result.cagr == pytest.approx(0.1)
    assert result.years == 1
    assert result.max_drawdown == pytest.approx(-0.5)
    assert result.calmar == pytest.approx(0.2)
    assert result.turnover == 4  # 0 -> 1 -> 1 -> -1 -> 0
    assert result.trades == 3
    assert result.cost_paid == pytest.approx(0.04)
    assert result.exposure == 0.75
    assert result.hit_rate == pytest.approx(1 / 3)
    assert result.sortino == pytest.approx(0.15 / 0.25 * 2)


@settings(max_examples=40, deadline=None)
@given(
    returns=st.lists(st.floats(-0.2, 0.2), min_size=3, max_size=300),
    year=st.sampled_from([52, 252, 365, 8760]),
)
def test_figures_equal_those_of_empyrical(returns: Any, year: float) -> None:
    series = np.round(np.array(returns), 6)
    result = measure(series, year=year)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {
            "total_return": empyrical.cum_returns_final(series),
            "cagr": empyrical.cagr(series, annualization=year),
            "volatility": empyrical.annual_volatility(series, annualization=year),
            "sharpe": empyrical.sharpe_ratio(series, annualization=year),
            "sortino": empyrical.sortino_ratio(series, annualization=year),
            "max_drawdown": empyrical.max_drawdown(series),
            "calmar": empyrical.calmar_ratio(series, annualization=year),
        }
    for name, value in expected.items():
        ours = getattr(result, name)
        if ours is None:
            assert not math.isfinite(value) or series.std() < 1e-9, name
        else:
            assert ours == pytest.approx(value, rel=1e-7, abs=1e-10), name


def test_the_account_is_flat_again_after_a_gap() -> None:
    whole = measure([0.1, 0.1, 0.1, 0.1], [1, 1, 1, 1])
    gap = measure_performance(
        np.full(4, 0.1), np.ones(4), np.zeros(4), 4.0, fresh=np.array([True, False, True, False])
    )
    assert (whole.trades, gap.trades, gap.turnover) == (1, 2, 2.0)


def test_nothing_happening_leaves_ratios_undefined() -> None:
    result = measure(np.zeros(10), np.zeros(10))
    assert (result.sharpe, result.sortino, result.calmar, result.hit_rate) == (None, None, None, None)
    assert (result.total_return, result.max_drawdown, result.trades, result.exposure) == (0, 0, 0, 0)


def test_short_lucky_runs_do_not_overflow() -> None:
    assert measure([0.5], year=1e6).cagr is None
    assert measure([0.5]).volatility is None


def test_lost_capital_has_no_annual_return() -> None:
    assert measure([-1.0, 0.0]).cagr is None


@pytest.mark.parametrize("wrong", [([], [], []), ([0.1], [1, 1], [0]), ([np.nan], [1], [0])])
def test_arrays_that_make_no_sense_are_refused(wrong: Any) -> None:
    with pytest.raises(InvalidInput):
        measure(*wrong)
