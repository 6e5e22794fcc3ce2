from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidConfig
from app.network.auto_config import resolve_config
from app.network.config import PPOConfig
from app.network.schedule import MIN_UPDATES
from app.network.tiers import TIERS


@pytest.mark.parametrize("tier", TIERS)
def test_the_network_comes_from_the_tier(tier: str) -> None:
    resolved = resolve_config(tier, 10**9)
    assert resolved.config.hidden_dims == TIERS[tier].hidden_dims
    assert resolved.config.num_envs == TIERS[tier].num_envs
    assert tier in resolved.reasons["hidden_dims"]


@pytest.mark.parametrize(
    ("use_case", "hidden_dims"),
    [
        ("quick", (512, 256, 128)),
        ("production", (1024, 512, 256)),
        ("complex", (2048, 1024, 512, 256)),
        ("limited_data", (512, 256, 128)),
        ("extended", (2048, 1024, 512, 256)),
    ],
)
def test_a_use_case_brings_its_own_network(use_case: str, hidden_dims: tuple[int, ...]) -> None:
    resolved = resolve_config("low", 10**8, use_case=use_case)
    assert resolved.config.hidden_dims == hidden_dims
    assert use_case in resolved.reasons["hidden_dims"]


def test_modes_shape_the_schedule_and_leave_the_network() -> None:
    quick, standard, extended = (
        resolve_config("a100", 10**8, training_mode=mode).config for mode in ("quick", "standard", "extended")
    )
    assert quick.learning_rate > standard.learning_rate > extended.learning_rate
    assert quick.update_epochs > standard.update_epochs > extended.update_epochs
    assert quick.hidden_dims == standard.hidden_dims == extended.hidden_dims
    assert resolve_config("a100", 10**8).config == standard


def test_both_mode_and_use_case_contradict() -> None:
    with pytest.raises(InvalidConfig, match="contradict"):
        resolve_config("low", 1000, training_mode="quick", use_case="quick")


def test_every_field_has_a_reason() -> None:
    resolved = resolve_config("cpu", 10_000, overrides={"gamma": 0.9})
    assert list(resolved.reasons) == [field.name for field in fields(PPOConfig)]
    assert all(resolved.reasons.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [("hidden_dims", [64, 32]), ("num_envs", 3), ("learning_rate", 1e-5), ("seed", 9), ("norm_obs", True)],
)
def test_an_override_always_wins_and_says_so(name: str, value: Any) -> None:
    resolved = resolve_config("h100", 10**7, use_case="extended", overrides={name: value})
    assert getattr(resolved.config, name) == (tuple(value) if isinstance(value, list) else value)
    assert "your override" in resolved.reasons[name]


def test_an_unknown_field_is_named_with_the_known_ones() -> None:
    with pytest.raises(InvalidConfig, match="'lr'") as caught:
        resolve_config("low", 1000, overrides={"lr": 1})
    assert "learning_rate" in caught.value.hint
    assert caught.value.pointer == "lr"


@pytest.mark.parametrize(
    "arguments",
    [
        {"training_mode": "fast"},
        {"use_case": "toy"},
        {"overrides": {"num_envs": 0}},
        {"overrides": {"num_envs": "many"}},
        {"overrides": {"norm_obs": "yes"}},
        {"overrides": {"num_envs": 3, "num_steps": 5, "num_minibatches": 4}},
    ],
)
def test_bad_settings_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig):
        resolve_config("low", 1000, **arguments)


@pytest.mark.parametrize("total", [0, -5, 1.5, "many"])
def test_a_run_without_length_is_refused(total: Any) -> None:
    with pytest.raises(InvalidConfig) as caught:
        resolve_config("low", total)
    assert caught.value.pointer == "total_timesteps"


@given(
    tier=st.sampled_from(list(TIERS)),
    total=st.integers(1, 10**10),
    overrides=st.fixed_dictionaries(
        {},
        optional={
            "num_envs": st.integers(1, 5000),
            "num_steps": st.integers(1, 3000),
        },
    ),
)
def test_every_resolved_config_is_valid(tier: str, total: int, overrides: dict[str, int]) -> None:
    config = resolve_config(tier, total, overrides=overrides).config
    assert config.check() is config
    for name, value in overrides.items():
        assert getattr(config, name) == value
    if not overrides and total >= MIN_UPDATES:
        assert config.num_updates >= MIN_UPDATES


@given(st.sampled_from(list(TIERS)), st.integers(1, 10**10), st.integers(1, 5000))
def test_minibatches_that_were_asked_for_divide_the_batch(tier: str, total: int, parts: int) -> None:
    config = resolve_config(tier, total, overrides={"num_minibatches": parts}).config
    assert config.num_minibatches == parts
    assert config.batch_size % parts == 0
