"""A table filled and scaled in place is, bit by bit, the one that is computed whole."""

from dataclasses import replace

import numpy as np
import pytest

from app.errors import InvalidInput
from app.market.bars import Bars
from app.market.features import FeatureSchema, compute_features
from app.market.scaler import RobustScaler, scale_features
from app.market.splits import Span
from tests.market.making import make_bars
from worker.trading import table as tables
from worker.trading.market import build_market
from worker.trading.table import fill_features, fit_scaler, scale_table

BARS = make_bars(2_600, gaps=(900, 1_700, 1_800), seed=4)
OWN = replace(BARS, own_features={"mood": np.linspace(-30.0, 30.0, len(BARS))})
TRAIN = Span(0, 1_600)
SCHEMAS = {
    "all": (BARS, FeatureSchema()),
    "mixed": (OWN, FeatureSchema(names=("rsi_14", "mood", "ret_1", "vol_z_50", "ret_5"), own=("mood",))),
    "masked": (
        replace(BARS, volume=np.full(len(BARS), np.nan)),
        FeatureSchema().mask_volume(has_volume=False),
    ),
}


def filled(bars: Bars, schema: FeatureSchema) -> np.ndarray:
    table = np.empty((len(bars), len(schema.names)), np.float32)
    fill_features(table, bars, schema)
    return table


@pytest.mark.parametrize("case", SCHEMAS)
def test_a_filled_table_is_the_computed_one(case: str) -> None:
    bars, schema = SCHEMAS[case]
    np.testing.assert_array_equal(filled(bars, schema), compute_features(bars, schema))


@pytest.mark.parametrize("case", SCHEMAS)
@pytest.mark.parametrize("scaled", [True, False])
def test_scaling_in_place_changes_no_bit(case: str, scaled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROWS_AT_ONCE", 700)
    bars, schema = SCHEMAS[case]
    whole, table = compute_features(bars, schema), filled(bars, schema)
    scaler = RobustScaler.fit(whole, TRAIN.start, TRAIN.stop) if scaled else None
    if scaled:
        assert fit_scaler(table, TRAIN) == scaler
    scale_table(table, scaler)
    np.testing.assert_array_equal(table, np.nan_to_num(scale_features(whole, scaler)))
    np.testing.assert_array_equal(table, build_market(bars, schema, scaler=scaler).features_TF.numpy())


def test_a_row_with_one_feature_absent_is_left_out_for_all() -> None:
    table = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
    table[7, 1] = np.nan
    assert fit_scaler(table, Span(0, 40)) == RobustScaler.fit(table, 0, 40)


def test_a_span_without_features_is_refused_as_ever() -> None:
    with pytest.raises(InvalidInput, match=r"rows 0\.\.300 hold no features"):
        fit_scaler(filled(*SCHEMAS["all"]), Span(0, 300))


def test_what_the_bars_lack_is_told() -> None:
    bars, schema = SCHEMAS["masked"][0], FeatureSchema(names=("ret_1", "vol_z_50"))
    with pytest.raises(InvalidInput, match="no volume"):
        filled(bars, schema)
    with pytest.raises(InvalidInput, match="lack the feature columns mood"):
        filled(BARS, SCHEMAS["mixed"][1])
