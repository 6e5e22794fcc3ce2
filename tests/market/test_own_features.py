"""The user's own feature columns: kept with the bars, hashed, checked, scaled, causal by the user's word."""

import io
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from app.errors import InvalidDataset, InvalidInput
from app.market.bars import Bars, Declarations, load_bars, read_bars
from app.market.features import FeatureSchema, compute_features
from app.market.report import describe_bars
from app.market.scaler import RobustScaler, scale_features
from app.market.schema import choose_features
from tests.market.making import make_bars

COUNT = 1300
DECLARED = Declarations(calendar="24x7", feature_columns="Funding Rate, open_interest")
RNG = np.random.default_rng(5)
FUNDING = RNG.normal(1e-4, 3e-5, COUNT)
INTEREST = RNG.lognormal(20, 0.1, COUNT)


def table(funding: np.ndarray = FUNDING) -> pl.DataFrame:
    return (
        make_bars(COUNT)
        .frame()
        .with_columns(
            pl.Series("Funding Rate", funding).fill_nan(None),
            pl.Series("open_interest", INTEREST),
            pl.lit("x").alias("note"),
        )
    )


def read(frame: pl.DataFrame, declared: Declarations = DECLARED) -> Bars:
    return read_bars(frame.write_csv(datetime_format="%Y-%m-%dT%H:%M:%SZ").encode(), declared)


def codes(frame: pl.DataFrame, declared: Declarations = DECLARED) -> dict[str, dict]:
    with pytest.raises(InvalidDataset) as caught:
        read(frame, declared)
    return {finding["code"]: finding for finding in caught.value.extra["findings"]}


def test_columns_are_kept_with_the_bars_through_the_canonical_file() -> None:
    bars = read(table())
    assert list(bars.own_features) == ["Funding Rate", "open_interest"]
    np.testing.assert_array_equal(bars.own_features["Funding Rate"], FUNDING)
    loaded = load_bars(bars.canonical_bytes())
    np.testing.assert_array_equal(loaded.own_features["open_interest"], INTEREST)
    assert (loaded.sha256, loaded.own_feature_hashes) == (bars.sha256, bars.own_feature_hashes)
    assert pl.read_parquet(io.BytesIO(bars.canonical_bytes())).columns[-2:] == [
        "Funding Rate",
        "open_interest",
    ]


def test_their_values_are_part_of_the_version_and_each_has_its_own_hash() -> None:
    bars, other = read(table()), read(table(FUNDING * 2))
    assert bars.sha256 != other.sha256
    assert bars.own_feature_hashes["Funding Rate"] != other.own_feature_hashes["Funding Rate"]
    assert bars.own_feature_hashes["open_interest"] == other.own_feature_hashes["open_interest"]
    assert bars.sha256 != read(table(), Declarations(calendar="24x7")).sha256
    described = describe_bars(bars).own_features
    assert [own.name for own in described] == ["Funding Rate", "open_interest"]
    assert described[0].median == np.median(FUNDING)


def test_missing_values_are_allowed_in_the_warm_up_and_nowhere_else() -> None:
    holed = FUNDING.copy()
    holed[:499] = np.nan
    assert np.isnan(read(table(holed)).own_features["Funding Rate"][:499]).all()
    holed[[499, 700]] = np.nan
    finding = codes(table(holed))["E_NAN_FEATURE"]
    assert (finding["rows"], finding["count"]) == ([500, 701], 2)
    assert "Funding Rate" in finding["message"]


def test_the_warm_up_begins_anew_after_a_gap() -> None:
    holed = FUNDING.copy()
    holed[640:700] = np.nan
    assert "E_NAN_FEATURE" in codes(table(holed))
    cut = table(holed).filter(~pl.int_range(pl.len()).is_between(630, 645))
    assert len(read(cut).segments) == 2


def test_infinite_values_are_refused_even_in_the_warm_up() -> None:
    wild = FUNDING.copy()
    wild[3] = np.inf
    assert codes(table(wild))["E_NAN_FEATURE"]["rows"] == [4]


def test_text_is_no_feature() -> None:
    declared = Declarations(calendar="24x7", feature_columns="note")
    assert codes(table(), declared)["E_NAN_FEATURE"]["count"] == COUNT - 499


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mood", "no column called 'mood'"),
        ("ret_1", "the name of a built-in column"),
        ("volume", "built-in column"),
    ],
)
def test_absent_and_taken_names_are_refused(name: str, words: str) -> None:
    frame = table().with_columns(pl.lit(1.0).alias("ret_1"))
    finding = codes(frame, Declarations(calendar="24x7", feature_columns=name))["E_COLUMNS"]
    assert words in finding["message"]


@pytest.mark.parametrize("names", ["a,a", "a,,b", "x" * 61, ",".join(f"f{n}" for n in range(300))])
def test_impossible_lists_are_refused(names: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Declarations(feature_columns=names)
    assert caught.value.pointer == "feature_columns"


def test_they_stand_in_the_features_where_the_schema_puts_them() -> None:
    bars = read(table())
    schema = choose_features(["open_interest", "ret_1", "Funding Rate"], tuple(bars.own_features), 50)
    assert schema.obs_dim == 50 * 8
    features = compute_features(bars, schema)
    assert np.isnan(features[:499]).all()
    np.testing.assert_array_equal(features[499:, 0], INTEREST[499:].astype(np.float32))
    np.testing.assert_array_equal(
        features[:, 1], compute_features(bars, FeatureSchema(names=("ret_1",)))[:, 0]
    )
    with pytest.raises(InvalidInput, match="lack the feature columns open_interest, Funding Rate"):
        compute_features(make_bars(COUNT), schema)


def test_scaling_sees_them_whole_and_the_agent_sees_them_within_ten() -> None:
    bars = read(table())
    schema = choose_features(["open_interest", "Funding Rate"], tuple(bars.own_features), 50)
    features = compute_features(bars, schema)
    scaler = RobustScaler.fit(features, 0, 900)
    scaled = scale_features(features, scaler)[499:]
    assert np.abs(np.median(scaled, axis=0)).max() < 0.2
    assert 0.5 < scaled.std(axis=0).min() < scaled.std(axis=0).max() < 2
    raw = scale_features(features, None)[499:]
    assert (raw[:, 0] == 10).all()


def test_segments_keep_their_own_values() -> None:
    bars = read(table().filter(~pl.int_range(pl.len()).is_between(640, 650)))
    schema = choose_features(["Funding Rate"], tuple(bars.own_features), 50)
    features = compute_features(bars, schema)
    start = bars.segments[1][0]
    np.testing.assert_array_equal(
        features[start + 499 :, 0], np.delete(FUNDING, slice(640, 651))[start + 499 :].astype(np.float32)
    )
    assert np.isnan(features[start : start + 499]).all()
    assert replace(bars, own_features={}).sha256 != bars.sha256
