"""Bootstrap intervals cover and agree with arch's, blocks are geometric, and luck is deflated."""

import warnings

import numpy as np
import pytest

from app.errors import InvalidInput
from app.market.performance import sharpe_ratio
from app.market.significance import (
    Interval,
    Moments,
    Trials,
    bootstrap_intervals,
    deflate,
    draw_blocks,
    expected_maximum,
    measure_moments,
    probable_sharpe,
    resample_means,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from arch.bootstrap import StationaryBootstrap

FLAT = np.zeros(400)


def test_interval_covers_the_true_ratio_about_19_times_in_20() -> None:
    covered = 0
    for seed in range(60):
        returns = np.random.default_rng(seed).normal(0.0005, 0.01, 400)  # true Sharpe 0.05 per bar
        interval = bootstrap_intervals(np.log1p(returns), FLAT, 1.0, samples=200, seed=seed).sharpe
        assert interval is not None
        covered += 0.05 in interval
    assert 50 <= covered <= 60


def test_intervals_are_those_of_arch() -> None:
    """The same method with other random numbers: ends of 4,000 samples agree to a few hundredths."""
    rng = np.random.default_rng(7)
    policy, holding = rng.normal(0.001, 0.01, (2, 300))
    ours = bootstrap_intervals(policy, holding, 252.0, samples=4_000, mean_block=6)
    simple = np.expm1(np.stack([policy, holding], axis=1))

    def figures(rows: np.ndarray) -> np.ndarray:
        sharpes = rows.mean(0) / rows.std(0, ddof=1) * np.sqrt(252)
        excess = (np.log1p(rows[:, 0]) - np.log1p(rows[:, 1])).mean() * 252
        return np.array([sharpes[0], excess, sharpes[0] - sharpes[1]])

    theirs = StationaryBootstrap(6, simple, seed=3).conf_int(figures, reps=4_000, method="percentile")
    found = (ours.sharpe, ours.excess, ours.sharpe_difference)
    for place, interval in enumerate(found):
        assert interval is not None
        width = theirs[1, place] - theirs[0, place]
        assert (interval.low, interval.high) == pytest.approx(theirs[:, place], abs=0.04 * width)


def test_interval_is_deterministic_and_widens_with_serial_correlation() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, 3000)
    smooth = np.convolve(noise, np.ones(10) / 10, mode="valid")
    zero = np.zeros_like(smooth)
    narrow, wide = (bootstrap_intervals(smooth, zero, 1.0, mean_block=block).excess for block in (1, 50))
    assert wide == bootstrap_intervals(smooth, zero, 1.0, mean_block=50).excess
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_prefix_sums_give_the_means_of_the_rows_that_the_blocks_name() -> None:
    columns = np.random.default_rng(1).normal(size=(2, 50))
    starts, lengths = draw_blocks(50, 7.0, 5, np.random.default_rng(9))
    rows = [
        np.concatenate([(start + np.arange(size)) % 50 for start, size in zip(*sample, strict=True)])
        for sample in zip(starts, lengths, strict=True)
    ]
    assert {len(each) for each in rows} == {50}
    expected = np.stack([columns[:, each].mean(axis=1) for each in rows], axis=1)
    np.testing.assert_allclose(resample_means(columns, 5, 7.0, 9), expected, atol=1e-12)


def test_samples_do_not_depend_on_how_many_are_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = np.random.default_rng(1).normal(size=(1, 500))
    monkeypatch.setattr("app.market.significance.BATCH_BLOCKS", 100)
    few = resample_means(columns, 40, 10.0, 1)
    assert few.shape == (1, 40)
    assert few.std() > 0


def test_blocks_have_the_mean_length_asked_for_and_fill_the_rows() -> None:
    starts, lengths = draw_blocks(100_000, 20, 1, np.random.default_rng(1))
    used = lengths[lengths > 0]
    assert lengths.sum() == 100_000
    assert used.mean() == pytest.approx(20, rel=0.05)
    assert 0 <= starts.min() <= starts.max() < 100_000


def test_nothing_moving_has_no_sharpe_interval_and_no_deflated_ratio() -> None:
    none = bootstrap_intervals(FLAT, FLAT, 252.0)
    assert (none.sharpe, none.excess, none.sharpe_difference) == (None, Interval(0.0, 0.0), None)
    assert measure_moments(FLAT) is None
    assert deflate(None, Trials(10, (0.1, 0.2)), 252.0).deflated_sharpe is None


def test_moments_by_hand() -> None:
    moments = measure_moments(np.array([-1.0, 0.0, 0.0, 3.0]))
    assert moments is not None
    assert moments.periods == 4
    assert moments.sharpe == pytest.approx(0.5 / np.sqrt(9 / 3))  # sum of squares about 0.5 is 9
    assert moments.skewness == pytest.approx((-3.375 - 0.125 - 0.125 + 15.625) / 4 / 2.25**1.5)
    assert moments.kurtosis == pytest.approx((5.0625 + 0.0625 + 0.0625 + 39.0625) / 4 / 2.25**2)


def test_expected_maximum_is_near_that_of_simulated_normals() -> None:
    draws = np.random.default_rng(2).normal(size=(4_000, 100)).max(axis=1).mean()
    assert expected_maximum(100) == pytest.approx(draws, abs=0.05)
    assert expected_maximum(1) == 0


def test_deflated_sharpe_of_the_papers_example() -> None:
    """Bailey & López de Prado 2014, p. 9: Sharpe 2.5 a year over 1250 days, the best of 100 trials."""
    luck = np.sqrt(0.5 / 250) * expected_maximum(100)
    assert luck == pytest.approx(0.1132, abs=1e-4)
    moments = Moments(1_250, 2.5 / np.sqrt(250), -3.0, 10.0)
    assert probable_sharpe(moments, luck) == pytest.approx(0.9004, abs=5e-4)


def test_trials_deviation_counts_this_trial_and_luck_grows_with_their_number() -> None:
    moments = Moments(1_000, 0.1, 0.0, 3.0)
    deflation = deflate(moments, Trials(3, (0.0, -0.1)), 100.0)
    assert deflation.trials_deviation == pytest.approx(np.std([0.1, 0.0, -0.1], ddof=1) * 10)
    assert deflation.lucky_sharpe == pytest.approx(deflation.trials_deviation * expected_maximum(3))
    chances = [deflate(moments, Trials(n, (0.0, -0.1)), 100.0).deflated_sharpe for n in (1, 3, 1_000)]
    assert chances == sorted(chances, reverse=True)


def test_a_single_trial_is_asked_only_whether_it_is_above_zero() -> None:
    returns = np.random.default_rng(3).normal(0.001, 0.01, 500)
    moments = measure_moments(returns)
    assert moments is not None
    deflation = deflate(moments, Trials(1), 252.0)
    assert (deflation.lucky_sharpe, deflation.trials_deviation) == (0, 0)
    assert deflation.deflated_sharpe == probable_sharpe(moments, 0.0)
    assert moments.sharpe == sharpe_ratio(returns, 1.0)


def test_impossible_trials_and_blocks_are_refused() -> None:
    with pytest.raises(InvalidInput):
        deflate(None, Trials(0), 252.0)
    for count, block in ((0, 2.0), (10, 0.5)):
        with pytest.raises(InvalidInput):
            draw_blocks(count, block, 1, np.random.default_rng(0))
