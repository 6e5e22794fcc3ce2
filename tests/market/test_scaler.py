"""Robust scaling is fitted on the training rows only."""

import numpy as np
import pytest

from app.errors import InvalidInput
from app.market.scaler import RobustScaler

RNG = np.random.default_rng(1)


def test_median_and_interquartile_range_by_hand() -> None:
    table = np.array([[1.0, 5], [2, 5], [3, 5], [4, 5], [5, 5]], dtype=np.float32)
    scaler = RobustScaler.fit(table, 0, 5)
    assert scaler.center == (3.0, 5.0)
    assert scaler.scale == (pytest.approx(2 / 1.34898, rel=1e-5), 1.0)


def test_normal_features_come_out_with_deviation_one() -> None:
    table = RNG.normal(3, 7, (20_000, 2)).astype(np.float32)
    scaled = RobustScaler.fit(table, 0, 20_000).transform(table)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=0.03)
    np.testing.assert_allclose(np.median(scaled, axis=0), 0, atol=1e-3)


def test_rows_outside_the_fold_do_not_matter() -> None:
    table = RNG.normal(size=(300, 3)).astype(np.float32)
    changed = table.copy()
    changed[200:] *= 1000
    changed[:100] -= 1000
    assert RobustScaler.fit(table, 100, 200) == RobustScaler.fit(changed, 100, 200)


def test_warm_up_rows_are_left_out_and_extremes_clipped() -> None:
    table = RNG.normal(size=(300, 1)).astype(np.float32)
    warm = table.copy()
    warm[:50] = np.nan
    scaler = RobustScaler.fit(warm, 0, 300)
    assert scaler == RobustScaler.fit(table, 50, 300)
    assert scaler.transform(np.array([[1e6], [-1e6]], dtype=np.float32)).tolist() == [[10], [-10]]
    assert np.isnan(scaler.transform(warm)[:50]).all()


def test_plain_form_rebuilds_the_same_scaler() -> None:
    scaler = RobustScaler.fit(RNG.normal(size=(50, 3)).astype(np.float32), 0, 50)
    assert RobustScaler.from_plain(scaler.plain()) == scaler


def test_nothing_to_fit_on_and_foreign_tables_are_refused() -> None:
    with pytest.raises(InvalidInput):
        RobustScaler.fit(np.full((10, 2), np.nan, dtype=np.float32), 0, 10)
    with pytest.raises(InvalidInput, match="2 features, the table has 3"):
        RobustScaler((0.0, 0.0), (1.0, 1.0)).transform(np.zeros((4, 3), dtype=np.float32))
