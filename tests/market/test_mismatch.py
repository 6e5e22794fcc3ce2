"""Where features differ, the words name them: never two shapes alone."""

from dataclasses import replace

import pytest

from app.errors import InvalidConfig
from app.market.mismatch import check_computable, check_weights_fit, compare_schemas, explain_mismatch
from app.market.schema import MARKET_FEATURES, FeatureSchema

SERVICE = FeatureSchema()


def foreign(*renamed: tuple[str, str]) -> dict[str, object]:
    """The plain schema of another release, which called some features otherwise."""
    names = dict(renamed)
    return {**SERVICE.plain(), "names": [names.get(name, name) for name in MARKET_FEATURES]}


def test_the_briefs_own_sentence() -> None:
    bundle = foreign(("mfi_14", "mfi_20"), ("dow_sin", "week_sin"))
    service = replace(SERVICE, names=(*MARKET_FEATURES, "funding"), own=("funding",))
    words = explain_mismatch(bundle, service)
    assert words.startswith("bundle has mfi_20 at #41, service computes mfi_14; 2 missing, 3 extra (")
    assert "missing: mfi_20, week_sin; extra: mfi_14, dow_sin, funding" in words


def test_order_and_length_alone() -> None:
    bundle = FeatureSchema(names=("ret_5", "ret_1"))
    assert compare_schemas(bundle, FeatureSchema(names=("ret_1", "ret_5"))) == (
        "bundle has ret_5 at #0, service computes ret_1",
        "the same features in another order",
    )
    longer = FeatureSchema(names=("ret_1",), account=())
    words = compare_schemas(longer, FeatureSchema(names=("ret_1", "ret_5"), account=()))
    assert words == ("bundle has 1 features, service computes 2", "0 missing, 1 extra (extra: ret_5)")


def test_long_lists_are_shortened() -> None:
    words = explain_mismatch(FeatureSchema(names=("ret_1",)), SERVICE)
    assert "0 missing, 47 extra" in words
    assert "35 more" in words


def test_window_mask_parameters_library_and_version_are_compared() -> None:
    other = replace(
        SERVICE,
        lookback=50,
        masked=("mfi_14",),
        parameters=(("clip", 5.0),),
        library="TA-Lib 0.0.1",
        version=2,
    )
    words = explain_mismatch(other, SERVICE)
    for part in (
        "lookback: bundle 50, service 100",
        "mfi_14 is masked (no volume) in the bundle only",
        "clip: bundle 5.0, service 10.0",
        "library: bundle TA-Lib 0.0.1",
        "version: bundle 2, service 1",
    ):
        assert part in words
    assert explain_mismatch(SERVICE, SERVICE) == ""


def test_weights_are_refused_for_other_features_not_for_another_library() -> None:
    check_weights_fit(None, SERVICE, "m")
    check_weights_fit({"names": ["a", "b"]}, SERVICE, "m")  # a foreign file: its shapes decide
    check_weights_fit({**SERVICE.plain(), "library": "TA-Lib 0.0.1", "version": "1"}, SERVICE, "m")
    with pytest.raises(InvalidConfig, match="m saw other features: bundle has mfi_20 at #41") as caught:
        check_weights_fit(foreign(("mfi_14", "mfi_20")), SERVICE, "m")
    assert caught.value.pointer == "initial_checkpoint"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"library": "TA-Lib 0.0.1"}, "library: bundle TA-Lib 0.0.1, service TA-Lib"),
        ({"parameters": {"clip": 5.0}}, "clip: bundle 5.0, service 10.0"),
        ({"names": ["ret_1", "mfi_20"]}, "bundle has mfi_20 at #1, service computes ret_5"),
        ({"version": 2}, "version: bundle 2, service 1"),
    ],
)
def test_what_this_release_does_not_compute_is_refused_by_name(
    changed: dict[str, object], words: str
) -> None:
    with pytest.raises(InvalidConfig) as caught:
        check_computable({**SERVICE.plain(), **changed})
    assert words in caught.value.detail


def test_what_this_release_computes_passes() -> None:
    check_computable(SERVICE.plain())
    own = replace(
        SERVICE, names=("funding", "ret_1", "mfi_14"), own=("funding",), masked=("mfi_14",), lookback=9
    )
    check_computable(own.plain())
