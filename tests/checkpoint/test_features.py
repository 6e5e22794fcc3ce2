"""Feature schemas in the forms that files have."""

from typing import Any

import pytest

from app.checkpoint.features import check_features, read_features
from app.checkpoint.findings import Findings
from app.checkpoint.report import FeatureSchema
from app.checkpoint.values import Made, Name, Table


def entry(**values: Any) -> Table:
    return Table.of(values)


@pytest.mark.parametrize(
    "value",
    [
        ["ret_1", "rsi_14"],
        ("ret_1", "rsi_14"),
        [entry(name="ret_1"), entry(name="rsi_14", window=14)],
        entry(names=["ret_1", "rsi_14"]),
        entry(columns=["ret_1", "rsi_14"]),
        Made(Name("lib", "Schema"), state=entry(features=["ret_1", "rsi_14"])),
    ],
)
def test_names_in_every_form(value: Any) -> None:
    schema = read_features(value)
    assert schema is not None
    assert schema.names == ("ret_1", "rsi_14")
    assert schema.obs_dim is None


@pytest.mark.parametrize("value", [None, 7, [], [1, 2], ["a", None], entry(names=3), entry(other=["a"])])
def test_what_is_no_schema(value: Any) -> None:
    assert read_features(value) is None


def test_names_that_are_no_text_for_a_terminal_are_escaped() -> None:
    schema = read_features(["a\x1b[31m"])
    assert schema is not None
    assert schema.names == ("a\\x1b[31m",)


def test_width_against_the_network() -> None:
    findings = Findings(10)
    schema = FeatureSchema(("a", "b"), lookback=10, account=("position",))
    check_features(schema, 30, findings)
    assert findings.ordered() == ()
    check_features(schema, 40, findings)
    assert [finding.code for finding in findings.ordered()] == ["schema_width"]


def test_a_hash_is_checked_only_where_all_of_its_fields_stand() -> None:
    assert read_features(entry(names=["a"], hash="00")).hash_holds is None  # type: ignore[union-attr]
    fields = {name: [] for name in ("account", "masked", "parameters")}
    full = entry(names=["a"], lookback=1, library="x", version=1, hash="00", **fields)
    assert read_features(full).hash_holds is False  # type: ignore[union-attr]
    endless: list[Any] = []
    endless.append(endless)
    full.pairs.append(("masked", endless))
    assert read_features(full).hash_holds is False  # type: ignore[union-attr]


def test_a_schema_that_unfolds_without_end_is_not_hashed() -> None:
    laughs: list[Any] = ["ha"]
    for _ in range(60):
        laughs = [laughs, laughs]
    fields = {name: [] for name in ("account", "parameters")}
    schema = read_features(
        entry(names=["a"], lookback=1, library="x", version=1, hash="0", masked=laughs, **fields)
    )
    assert schema is not None
    assert schema.hash_holds is False
