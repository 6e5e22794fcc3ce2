"""The self-test's markets: no drift, no pattern left after shuffling, and a leak that is the coming return."""

import numpy as np

from worker.selftest.checks import SCHEMA
from worker.selftest.markets import draw_bars, leak_future, shuffle_bars
from worker.trading.market import build_market

BARS = draw_bars(1_200, seed=3)


def test_drawn_bars_keep_the_contract_and_have_no_drift() -> None:
    for bars in (BARS, shuffle_bars(BARS, 1)):
        assert (bars.low <= np.minimum(bars.open, bars.close)).all()
        assert (bars.high >= np.maximum(bars.open, bars.close)).all()
        assert (bars.low > 0).all()
        simple = np.diff(bars.close, prepend=100.0) / np.concatenate([[100.0], bars.close[:-1]])
        assert abs(simple.mean()) < 1e-4


def test_volatility_clusters_until_the_bars_are_shuffled() -> None:
    def persistence(values: np.ndarray) -> float:
        sizes = np.abs(np.diff(np.log(values)))
        return float(np.corrcoef(sizes[1:], sizes[:-1])[0, 1])

    assert persistence(BARS.close) > 0.1
    assert abs(persistence(shuffle_bars(BARS, 1).close)) < 0.1


def test_shuffling_keeps_every_return_and_its_seed_decides_the_order() -> None:
    once, again, other = (shuffle_bars(BARS, seed) for seed in (1, 1, 2))
    assert np.array_equal(once.close, again.close)
    assert not np.array_equal(once.close, other.close)
    ours, theirs = (np.sort(np.diff(np.log(bars.close))) for bars in (once, other))
    np.testing.assert_allclose(ours[1:-1], theirs[1:-1], atol=2e-2)
    np.testing.assert_allclose(once.close[-1], BARS.close[-1] / BARS.open[0] * 100.0, rtol=1e-9)


def test_the_leak_is_what_the_decision_will_earn() -> None:
    plain = build_market(BARS, SCHEMA)
    leaked = leak_future(plain)
    row = 700
    earned = np.log(BARS.open[row + 2] / BARS.open[row + 1]) / float(plain.sigma_T[row])
    assert float(leaked.features_TF[row, 0]) == np.float32(np.clip(earned, -10, 10))
    assert (leaked.features_TF[:, 1] == plain.features_TF[:, 1]).all()
    assert float(plain.features_TF[row, 0]) != float(leaked.features_TF[row, 0])
