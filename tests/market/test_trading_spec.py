"""Costs, actions and the environment's specification refuse what cannot be meant."""

import json
from dataclasses import asdict
from typing import Any

import pytest

from app.errors import InvalidConfig
from app.market.account import trading_state_specs
from app.market.trading import RETAIL_COSTS, ActionSpec, Costs, EnvSpec


def test_costs_have_no_default_and_zero_is_named() -> None:
    for given in ((), (5.0,), (5.0, 1.0, 0.02)):
        with pytest.raises(TypeError, match="missing"):
            Costs(*given)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="costs"):
        EnvSpec()  # type: ignore[call-arg]
    assert not RETAIL_COSTS.free
    assert Costs(0, 0, 0, 0).free


def test_action_dim_follows_the_actions() -> None:
    assert ActionSpec().action_dim == 3
    assert ActionSpec(targets=(0, 0.25, 0.5, 1)).action_dim == 4
    assert ActionSpec(kind="gaussian", low=0).action_dim == 1


@pytest.mark.parametrize(
    "targets", [(), (1,), (1, 0, -1), (0, 0, 1), (-2, 0, 1), tuple(i / 2000 for i in range(1002))]
)
def test_grids_without_a_choice_are_refused(targets: tuple[float, ...]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        ActionSpec(targets=targets)
    assert caught.value.pointer == "actions/targets"


STATED: dict[Any, dict[str, Any]] = {Costs: asdict(RETAIL_COSTS), EnvSpec: {"costs": RETAIL_COSTS}}


@pytest.mark.parametrize(
    ("make", "values", "pointer"),
    [
        (Costs, {"fee_bps": -1}, "fee_bps"),
        (Costs, {"slippage": float("nan")}, "slippage"),
        (Costs, {"half_spread_bps": "1"}, "half_spread_bps"),
        (Costs, {"borrow_bps_per_year": True}, "borrow_bps_per_year"),
        (ActionSpec, {"kind": "continuous"}, "actions/kind"),
        (ActionSpec, {"kind": "gaussian", "low": 1.0}, "actions/low"),
        (ActionSpec, {"kind": "gaussian", "high": 2.0}, "actions/high"),
        (EnvSpec, {"reward": "profit"}, "reward"),
        (EnvSpec, {"episode_length": 0}, "episode_length"),
        (EnvSpec, {"episode_length": 1.5}, "episode_length"),
        (EnvSpec, {"ruin_equity": 1.0}, "ruin_equity"),
        (EnvSpec, {"sharpe_eta": 0.0}, "sharpe_eta"),
    ],
)
def test_values_out_of_range_are_refused_by_name(make: Any, values: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        make(**STATED.get(make, {}) | values)
    assert caught.value.pointer == pointer
    assert caught.value.hint


def test_plain_form_survives_json() -> None:
    spec = EnvSpec(Costs(1, 2, 0.3, 4), ActionSpec(targets=(0, 1)), "differential_sharpe", episode_length=9)
    assert EnvSpec.from_plain(json.loads(json.dumps(spec.plain()))) == spec


@pytest.mark.parametrize(
    "wrong", [{}, {"costs": {"fees": 1}, "actions": {}}, {"costs": {}, "actions": {}, "x": 1}]
)
def test_foreign_specifications_are_refused(wrong: Any) -> None:
    with pytest.raises(InvalidConfig):
        EnvSpec.from_plain(wrong)


def test_state_grows_with_environments_and_lookback() -> None:
    specs = trading_state_specs(8, 20, 3, "cuda")
    assert specs["account"] == ((8, 20, 3), "float32")
    assert specs["equity"] == ((8,), "float64")
    assert specs["generator"] == ((16,), "uint8")
