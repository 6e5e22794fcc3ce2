from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import DoesNotFit
from app.network.config import PPOConfig
from app.network.fits.fit import NARROWEST, SMALLEST_MINIBATCH, check_fits, find_nearest_fit
from app.network.memory.run_memory import run_memory
from app.network.memory.run_plan import RunPlan
from app.network.shape import NetworkShape
from app.network.tiers import TIERS

SHAPE = NetworkShape(5300, (1024, 512, 256))
CONFIG = PPOConfig(hidden_dims=(1024, 512, 256), num_envs=256, num_steps=128)
PLAN = RunPlan()
NEEDED = run_memory(SHAPE, CONFIG, PLAN).total_bytes


def _with(changes: dict[str, Any]) -> int:
    config = PPOConfig.from_plain({**CONFIG.plain(), **changes})
    return run_memory(NetworkShape(5300, config.hidden_dims), config, PLAN).total_bytes


def test_what_fits_is_answered_with_its_memory() -> None:
    assert check_fits(SHAPE, CONFIG, TIERS["a100"]) == run_memory(SHAPE, CONFIG, PLAN)


def test_exactly_enough_fits_and_one_byte_less_does_not() -> None:
    assert check_fits(SHAPE, CONFIG, NEEDED).total_bytes == NEEDED
    with pytest.raises(DoesNotFit):
        check_fits(SHAPE, CONFIG, NEEDED - 1)


def test_the_refusal_holds_the_estimate_and_the_nearest_settings_that_fit() -> None:
    with pytest.raises(DoesNotFit, match="the card has") as caught:
        check_fits(SHAPE, CONFIG, NEEDED - 1)
    problem = caught.value.problem()
    assert (problem["needed_bytes"], problem["available_bytes"]) == (NEEDED, NEEDED - 1)
    assert problem["parameters"] == SHAPE.parameters
    parts = [*problem["components"], *problem["overheads"]]
    assert sum(part["bytes"] for part in parts) == NEEDED
    assert problem["peak_instant"] == run_memory(SHAPE, CONFIG, PLAN).peak_instant
    assert problem["nearest_fit"] == {"num_minibatches": 8, "num_envs": 256, "num_steps": 128}
    assert problem["pointer"] == "num_minibatches"
    assert "num_minibatches=8" in problem["hint"]
    assert _with(problem["nearest_fit"]) == problem["nearest_fit_bytes"] < NEEDED


def test_a_tier_is_named_in_the_refusal() -> None:
    large = PPOConfig(hidden_dims=(1024, 512, 256), num_envs=8192)
    with pytest.raises(DoesNotFit, match=r"T4 16 GB \(low tier\) has 15\.66 GB"):
        check_fits(SHAPE, large, TIERS["low"])


@pytest.mark.parametrize(
    ("share", "changed"),
    [
        (0.95, {"num_minibatches"}),
        (0.6, {"num_envs", "num_minibatches"}),
        (0.3, {"num_envs"}),
    ],
)
def test_the_batch_shrinks_before_the_network(share: float, changed: set[str]) -> None:
    available = round(NEEDED * share)
    nearest = find_nearest_fit(SHAPE, CONFIG, available, PLAN)
    assert nearest is not None
    different = {name for name, value in nearest.settings.items() if getattr(CONFIG, name) != value}
    assert different == changed
    assert _with(nearest.settings) == nearest.memory.total_bytes <= available


def test_one_minibatch_fewer_or_twice_the_environments_would_not_fit() -> None:
    """As little is changed as can be, in the order that is documented."""
    available = round(NEEDED * 0.6)
    nearest = find_nearest_fit(SHAPE, CONFIG, available, PLAN)
    assert nearest is not None
    fewer = {**nearest.settings, "num_minibatches": nearest.config.num_minibatches // 2}
    assert _with(fewer) > available
    smallest = 2 * nearest.config.batch_size // SMALLEST_MINIBATCH
    more = {**nearest.settings, "num_envs": 2 * nearest.config.num_envs, "num_minibatches": smallest}
    assert _with(more) > available


def test_a_narrower_network_is_the_last_resort() -> None:
    available = 480_000_000
    nearest = find_nearest_fit(SHAPE, CONFIG, available, PLAN)
    assert nearest is not None
    dims = nearest.settings["hidden_dims"]
    shares = {wide / narrow for wide, narrow in zip(SHAPE.hidden_dims, dims, strict=True)}
    assert len(shares) == 1  # every width halved equally often
    assert _with(nearest.settings) <= available
    assert find_nearest_fit(SHAPE, CONFIG, available, PLAN, keep_network=True) is None


def test_a_network_that_hardly_fails_hardly_shrinks() -> None:
    """Its weights alone pass the card: no batch helps, and the next wider network would not fit."""
    config = replace(CONFIG, hidden_dims=(40_000, 16_000))
    shape = NetworkShape(5_300, config.hidden_dims)
    nearest = find_nearest_fit(shape, config, 14_000_000_000, PLAN)
    assert nearest is not None
    widths = nearest.settings["hidden_dims"]
    assert widths[0] > 0.8 * 40_000
    assert nearest.config.batch_size == config.batch_size
    wider = replace(nearest.config, hidden_dims=tuple(round(width * (1 + 1 / 60)) for width in widths))
    assert run_memory(replace(shape, hidden_dims=wider.hidden_dims), wider, PLAN).total_bytes > 14_000_000_000


def test_nothing_fits_a_card_that_is_too_small_for_the_context() -> None:
    assert find_nearest_fit(SHAPE, CONFIG, 100_000_000, PLAN) is None
    with pytest.raises(DoesNotFit) as caught:
        check_fits(SHAPE, CONFIG, 100_000_000)
    assert caught.value.extra["nearest_fit"] is None
    assert "larger card" in caught.value.hint


@settings(max_examples=25, deadline=None)
@given(
    dims=st.lists(st.sampled_from([4, 16, 64, 300, 1024]), min_size=1, max_size=3),
    envs=st.integers(1, 300),
    steps=st.integers(1, 200),
    share=st.floats(0.05, 1.0),
    processes=st.sampled_from([1, 1, 3]),
)
def test_what_is_proposed_is_allowed_and_fits(
    dims: list[int], envs: int, steps: int, share: float, processes: int
) -> None:
    config = PPOConfig(hidden_dims=tuple(dims), num_envs=envs * processes, num_steps=steps, num_minibatches=1)
    shape, plan = NetworkShape(600, tuple(dims)), RunPlan(processes=processes)
    available = round(run_memory(shape, config, plan).total_bytes * share) - 1
    nearest = find_nearest_fit(shape, config, available, plan)
    if nearest is None:
        return
    proposed = nearest.config.check()
    assert replace(config, **nearest.settings) == proposed
    assert proposed.num_envs % processes == 0
    assert proposed.num_envs // processes * proposed.num_steps % proposed.num_minibatches == 0
    assert all(width >= min(NARROWEST, old) for width, old in zip(proposed.hidden_dims, dims, strict=True))
    smaller = replace(shape, hidden_dims=proposed.hidden_dims)
    assert run_memory(smaller, proposed, plan) == nearest.memory
    assert nearest.memory.total_bytes <= available
