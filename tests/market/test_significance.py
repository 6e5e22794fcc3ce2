"""Bootstrap intervals cover, blocks are geometric, and luck is deflated."""

import numpy as np
import pytest

from app.errors import InvalidInput
from app.market.significance import (
    bootstrap_sharpe,
    deflated_sharpe,
    expected_maximum,
    probable_sharpe,
    resample_rows,
)


def test_interval_covers_the_true_ratio_about_19_times_in_20() -> None:
    covered = 0
    for seed in range(60):
        returns = np.random.default_rng(seed).normal(0.05, 1, 400)  # true Sharpe 0.05 per bar
        low, high = bootstrap_sharpe(returns, 1.0, samples=200, seed=seed)
        covered += low < 0.05 < high
    assert 50 <= covered <= 60


def test_interval_is_deterministic_and_widens_with_serial_correlation() -> None:
    noise = np.random.default_rng(0).normal(0, 1, 3000)
    smooth = np.convolve(noise, np.ones(10) / 10, mode="valid")
    narrow = bootstrap_sharpe(smooth, 1.0, mean_block=1)
    wide = bootstrap_sharpe(smooth, 1.0, mean_block=50)
    assert wide == bootstrap_sharpe(smooth, 1.0, mean_block=50)
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_blocks_follow_the_rows_and_have_the_mean_length_asked_for() -> None:
    rows = resample_rows(100_000, 20, np.random.default_rng(1))
    breaks = ((rows[1:] - rows[:-1]) % 100_000 != 1).sum()
    assert 100_000 / (breaks + 1) == pytest.approx(20, rel=0.05)
    assert rows.min() >= 0
    assert rows.max() < 100_000


def test_nothing_moving_has_no_interval() -> None:
    assert bootstrap_sharpe(np.zeros(100), 252.0) is None
    assert deflated_sharpe(np.zeros(100), 10, 0.1) is None


def test_expected_maximum_is_near_that_of_simulated_normals() -> None:
    draws = np.random.default_rng(2).normal(size=(4_000, 100)).max(axis=1).mean()
    assert expected_maximum(100) == pytest.approx(draws, abs=0.05)
    assert expected_maximum(1) == 0


def test_deflated_sharpe_of_the_papers_example() -> None:
    """Bailey & López de Prado 2014, p. 9: Sharpe 2.5 a year over 1250 days, the best of 100 trials."""
    luck = np.sqrt(0.5 / 250) * expected_maximum(100)
    assert luck == pytest.approx(0.1132, abs=1e-4)
    assert probable_sharpe(2.5 / np.sqrt(250), 1_250, (-3.0, 10.0), luck) == pytest.approx(0.9004, abs=5e-4)


def test_more_trials_deflate_more() -> None:
    returns = np.random.default_rng(3).normal(0.15, 1, 1_250)
    chances = [deflated_sharpe(returns, trials, 0.05) for trials in (1, 10, 1_000)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] > 0.99 > chances[2] > 0


@pytest.mark.parametrize("wrong", [(0, 0.1), (10, -0.1)])
def test_impossible_trials_are_refused(wrong: tuple[int, float]) -> None:
    with pytest.raises(InvalidInput):
        deflated_sharpe(np.ones(10), *wrong)


@pytest.mark.parametrize("wrong", [(0, 2.0), (10, 0.5)])
def test_impossible_resamples_are_refused(wrong: tuple[int, float]) -> None:
    with pytest.raises(InvalidInput):
        resample_rows(*wrong, np.random.default_rng(0))
