"""Between the form and the request: nothing is lost on the way, and refusals find their field."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from running_service import Service

from app.client import ServiceError
from app.ui.job_values import (
    JobValues,
    change_values,
    make_spec,
    merge_patch,
    place_errors,
    read_overrides,
    read_text,
    read_values,
    show_spec,
)
from app.ui.spec_fields import BodyField, read_body_fields


def known(
    *paths: str, kinds: dict[str, str] | None = None, required: tuple[str, ...] = ()
) -> dict[str, BodyField]:
    fields = [tuple(path.split("/")) for path in paths]
    return {
        path[-1]: BodyField(
            path,
            (kinds or {}).get(path[-1], "string"),
            "",
            "100" if path[-1] == "lookback" else "",
            (),
            path[-1] in required,
        )
        for path in fields
    }


FIELDS = known(
    *(
        "total_timesteps",
        "hidden_dims",
        "name",
        "lookback",
        "tier",
        "features",
        "scale_features",
        "overrides",
    ),
    *(
        "environment/costs/fee_bps",
        "environment/reward",
        "environment/actions/targets",
        "training_mode",
        "use_case",
    ),
    *("dataset", "datasets"),
    kinds={
        "total_timesteps": "integer",
        "hidden_dims": "integers",
        "lookback": "integer",
        "features": "strings",
        "scale_features": "boolean",
        "fee_bps": "number",
        "targets": "numbers",
    },
    required=("total_timesteps", "fee_bps"),
)


def test_what_was_typed_becomes_a_spec() -> None:
    typed = {
        "total_timesteps": "1,000,000",
        "hidden_dims": "64, 32",
        "fee_bps": "0",
        "reward": "log_return",
        "preset": "use_case:quick",
        "scale_features": "false",
        "targets": "-1,0.5",
        "name": "",
        "tier": "",
        "overrides": "gamma=0.9\n\nactivation=relu\nanneal_lr=false",
    }
    spec = make_spec(JobValues(typed, ("googl",)), FIELDS)
    assert spec == {
        "dataset": "googl",
        "environment": {"costs": {"fee_bps": 0}, "reward": "log_return", "actions": {"targets": [-1, 0.5]}},
        "total_timesteps": 1_000_000,
        "hidden_dims": [64, 32],
        "use_case": "quick",
        "scale_features": False,
        "overrides": {"gamma": 0.9, "activation": "relu", "anneal_lr": False},
    }


def test_several_datasets_are_named_together_and_once() -> None:
    values = read_values([("datasets", "a"), ("name", " x "), ("datasets", " b , a,"), ("datasets", "")])
    assert values == JobValues({"name": "x"}, ("a", "b"))
    assert make_spec(values, {})["datasets"] == ["a", "b"]


def test_a_clone_s_form_holds_what_was_asked_for_and_leaves_defaults_empty() -> None:
    spec = {
        "dataset": "googl",
        "datasets": None,
        "total_timesteps": 512,
        "hidden_dims": None,
        "lookback": 100,
        "tier": None,
        "training_mode": "quick",
        "overrides": {"gamma": 0.9, "target_kl": None},
        "environment": {"costs": {"fee_bps": 5.0}, "reward": "log_return"},
    }
    values = show_spec(spec, FIELDS)
    assert values.datasets == ("googl",)
    assert values.texts == {
        "total_timesteps": "512",
        "fee_bps": "5",
        "reward": "log_return",
        "preset": "training_mode:quick",
        "overrides": "gamma=0.9\ntarget_kl=null",
    }
    again = make_spec(values, FIELDS)
    assert (again["overrides"], again["training_mode"]) == (spec["overrides"], "quick")


texts = st.fixed_dictionaries(
    {},
    optional={
        "total_timesteps": st.integers(1, 10**13),
        "hidden_dims": st.lists(st.integers(1, 65_536), min_size=1, max_size=5),
        "name": st.text("abc XYZ", min_size=1, max_size=9).map(str.strip).filter(bool),
        "features": st.lists(st.sampled_from(["ret_1", "rsi_14"]), min_size=1, unique=True),
        "scale_features": st.booleans(),
    },
)


@given(texts, st.lists(st.sampled_from(["a", "b", "c"]), unique=True), st.floats(0, 100))
def test_a_spec_comes_back_from_its_form_as_it_was(
    spec: dict[str, Any], datasets: list[str], fee: float
) -> None:
    fee = float(f"{fee:.12g}")
    whole = {**spec, "environment": {"costs": {"fee_bps": fee}}}
    whole |= {"datasets": datasets} if len(datasets) > 1 else {"dataset": datasets[0]} if datasets else {}
    assert make_spec(show_spec(whole, FIELDS), FIELDS) == whole


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer", "1e6", 1_000_000),
        ("integer", "1 000", 1_000),
        ("integer", "12345678901234567890", 12345678901234567890),
        ("integer", "1.5", 1.5),
        ("integer", "many", "many"),
        ("integer", "nan", "nan"),
        ("number", "1e999", "1e999"),
        ("number", "0.1", 0.1),
        ("number", "1,5", "1,5"),
        ("integers", "64,,x", [64, "x"]),
        ("strings", " a, b ", ["a", "b"]),
        ("boolean", "maybe", "maybe"),
        ("string", "5", "5"),
    ],
)
def test_what_is_no_such_value_is_passed_on_as_typed(kind: str, text: str, value: Any) -> None:
    read = read_text(kind, text)
    assert read == value
    assert type(read) is type(value)


def test_settings_are_read_line_by_line() -> None:
    assert read_overrides("gamma = 0.9\nactivation=relu\nhalf\n") == {
        "gamma": 0.9,
        "activation": "relu",
        "half": "",
    }


def test_what_is_missing_is_named() -> None:
    assert JobValues().missing(FIELDS) == ["datasets", "total_timesteps", "fee_bps"]
    assert JobValues({"total_timesteps": "1", "fee_bps": "0"}, ("a",)).missing(FIELDS) == []


def test_a_proposed_change_is_made_and_the_rest_stays() -> None:
    values = JobValues(
        {"total_timesteps": "9", "hidden_dims": "4096", "overrides": "gamma=0.9", "key": "k"}, ("a",)
    )
    patch = {"hidden_dims": [64], "overrides": {"num_minibatches": 8}}
    changed = change_values(values, patch, FIELDS)
    assert changed.texts == {
        "total_timesteps": "9",
        "hidden_dims": "64",
        "overrides": "gamma=0.9\nnum_minibatches=8",
        "key": "k",
    }
    assert changed.datasets == ("a",)


def test_a_merge_patch_is_that_of_rfc_7396() -> None:
    assert merge_patch({"a": "b", "c": {"d": "e", "f": "g"}}, {"a": "z", "c": {"f": None}}) == {
        "a": "z",
        "c": {"d": "e"},
    }
    assert merge_patch({"a": [1]}, {"a": {"b": None}}) == {"a": {}}
    assert merge_patch({"a": "c"}, ["d"]) == ["d"]


@pytest.mark.parametrize(
    ("pointer", "field"),
    [
        ("environment/costs/fee_bps", "fee_bps"),
        ("fee_bps", "fee_bps"),
        ("hidden_dims[0]", "hidden_dims"),
        ("datasets/1", "datasets"),
        ("dataset", "datasets"),
        ("use_case", "preset"),
        ("overrides/gamma", "overrides"),
        ("learning_rate", "overrides"),
        ("", ""),
    ],
)
def test_a_refusal_finds_its_field(pointer: str, field: str) -> None:
    error = ServiceError("is wrong", code="invalid_config", pointer=pointer, hint="do better")
    assert place_errors(error, FIELDS) == {field: ["is wrong; do better"]}


def test_all_breaches_find_their_fields() -> None:
    breaches = [
        {"pointer": "name", "detail": "a"},
        {"pointer": "name", "detail": "b"},
        {"pointer": "body", "detail": "c"},
    ]
    placed = place_errors(ServiceError("a; b", code="invalid_input", extra={"errors": breaches}), FIELDS)
    assert placed == {"name": ["a", "b"], "": ["c"]}


def test_the_fields_are_those_of_the_api(shared_service: Service) -> None:
    tree = shared_service.get("/ui/jobs/new").text
    assert "Fee per traded notional, in basis points." in tree
    assert read_body_fields.__doc__
