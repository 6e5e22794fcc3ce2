"""The feature schema: order, size, hash, and words for every difference."""

from dataclasses import replace
from typing import Any

import pytest

from app.errors import InvalidInput, LimitExceeded
from app.market.mismatch import compare_schemas
from app.market.schema import ACCOUNT_FEATURES, MARKET_FEATURES, FeatureSchema, choose_features

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


def test_own_columns_stand_where_the_user_puts_them_and_have_a_hash_of_their_own() -> None:
    mixed = choose_features(["funding", "ret_1"], ("funding", "spread"), 7)
    assert (mixed.names, mixed.own, mixed.obs_dim) == (("funding", "ret_1"), ("funding",), 7 * 7)
    everything = choose_features(None, ("funding", "spread"), 100)
    assert everything.names == (*MARKET_FEATURES, "funding", "spread")
    assert everything.obs_dim == 5500
    assert FeatureSchema.from_plain(everything.plain()) == everything
    assert replace(everything, library="TA-Lib 0.0.1").own_hash == everything.own_hash
    assert len({mixed.own_hash, everything.own_hash, SCHEMA.own_hash}) == 3
    assert SCHEMA.own_hash is None
    assert "own" not in SCHEMA.plain()


@pytest.mark.parametrize("wanted", [["ret_1", "sentiment"], ["rsi_15"]])
def test_unknown_wishes_name_what_there_is(wanted: list[str]) -> None:
    with pytest.raises(InvalidInput, match=wanted[-1]) as caught:
        choose_features(wanted, ("funding",), 7)
    assert "ret_1" in caught.value.hint
    assert "funding" in caught.value.hint


def test_equal_schemas_have_no_differences() -> None:
    assert compare_schemas(SCHEMA, FeatureSchema()) == ()


@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ({"names": ("ret_1", "ret_2")}, "names"),
        ({"names": ("ret_1", "ret_1")}, "names"),
        ({"names": ()}, "names"),
        ({"account": ("mood",)}, "account"),
        ({"masked": ("mfi_14",), "names": ("ret_1",)}, "masked"),
        ({"own": ("funding",)}, "own"),
        ({"own": ("ret_1",)}, "own"),
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
