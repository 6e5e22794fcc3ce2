"""The feature schema: order, size, hash, and words for every difference."""

from dataclasses import replace
from typing import Any

import pytest

from app.errors import InvalidInput, LimitExceeded
from app.market.schema import ACCOUNT_FEATURES, MARKET_FEATURES, FeatureSchema, compare_schemas

SCHEMA = FeatureSchema()


def test_schema_v1_is_53_features_over_100_bars() -> None:
    assert len(MARKET_FEATURES) == len(set(MARKET_FEATURES)) == 48
    assert len(ACCOUNT_FEATURES) == 5
    assert SCHEMA.obs_dim == 5300
    assert SCHEMA.min_history == 599


def test_order_of_schema_v1_never_changes() -> None:
    groups = {
        0: "ret_1",
        9: "clv",
        10: "ema10_dist",
        24: "rsi_7",
        33: "natr_ratio_14_100",
        39: "vol_z_50",
        44: "hour_sin",
        47: "dow_cos",
    }
    assert {index: MARKET_FEATURES[index] for index in groups} == groups


def test_subset_and_lookback_decide_the_size() -> None:
    small = FeatureSchema(names=("ret_1", "rsi_14"), account=("position",), lookback=7)
    assert small.obs_dim == 21
    assert small.min_history == 506


def test_plain_form_rebuilds_the_same_schema() -> None:
    small = FeatureSchema(names=("ret_1", "mfi_14"), lookback=7).mask_volume(has_volume=False)
    rebuilt = FeatureSchema.from_plain(small.plain())
    assert rebuilt == small
    assert rebuilt.hash == small.hash
    assert small.masked == ("mfi_14",)


@pytest.mark.parametrize(
    "changes",
    [
        {"names": ("ret_5", "ret_1")},
        {"lookback": 99},
        {"account": ()},
        {"library": "TA-Lib 0.0.1"},
        {"version": 2},
        {"parameters": (("clip", 5.0),)},
        {"names": ("mfi_14",), "masked": ("mfi_14",)},
    ],
)
def test_every_field_changes_the_hash_and_is_named(changes: dict[str, Any]) -> None:
    other = replace(SCHEMA, **changes)
    assert other.hash != SCHEMA.hash
    assert compare_schemas(other, SCHEMA)


def test_equal_schemas_have_no_differences() -> None:
    assert compare_schemas(SCHEMA, FeatureSchema()) == ()


def test_differences_name_the_features() -> None:
    bundle = FeatureSchema(names=("ret_1", "rsi_7", "mfi_14"), lookback=50)
    service = FeatureSchema(names=("ret_1", "rsi_14"))
    words = compare_schemas(bundle, service)
    assert words[0] == "bundle has rsi_7 at #2, service has rsi_14"
    assert "2 only in bundle: rsi_7, mfi_14; 1 only in service: rsi_14" in words
    assert words[-1] == "lookback: bundle 50, service 100"


@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ({"names": ("ret_1", "ret_2")}, "names"),
        ({"names": ("ret_1", "ret_1")}, "names"),
        ({"names": ()}, "names"),
        ({"account": ("mood",)}, "account"),
        ({"masked": ("mfi_14",), "names": ("ret_1",)}, "masked"),
        ({"lookback": 0}, "lookback"),
        ({"lookback": True}, "lookback"),
    ],
)
def test_impossible_schemas_are_refused(values: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        FeatureSchema(**values)
    assert caught.value.pointer == pointer


def test_overlong_lookback_names_the_limit() -> None:
    with pytest.raises(LimitExceeded):
        FeatureSchema(lookback=10_001)


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(InvalidInput, match="colour"):
        FeatureSchema.from_plain({**SCHEMA.plain(), "colour": "red"})
