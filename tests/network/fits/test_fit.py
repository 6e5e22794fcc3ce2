from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.network.config import PPOConfig
from app.network.fits.fit import NARROWEST, SMALLEST_MINIBATCH, advise, describe_refusal, find_nearest_fit
from app.network.memory.run_memory import run_memory
from app.network.memory.run_plan import RunPlan
from app.network.shape import NetworkShape
from app.network.tiers import GB, TIERS

SHAPE = NetworkShape(5300, (1024, 512, 256))
CONFIG = PPOConfig(hidden_dims=(1024, 512, 256), num_envs=256, num_steps=128)
PLAN = RunPlan()
NEEDED = run_memory(SHAPE, CONFIG, PLAN).total_bytes


def _with(changes: dict[str, Any]) -> int:
    config = PPOConfig.from_plain({**CONFIG.plain(), **changes})
    return run_memory(NetworkShape(5300, config.hidden_dims), config, PLAN).total_bytes


def test_a_refusal_says_what_is_needed_by_component_and_when() -> None:
    memory = run_memory(SHAPE, CONFIG, PLAN)
    said = describe_refusal(SHAPE, memory, NEEDED - 1)
    assert (said["needed_bytes"], said["available_bytes"]) == (NEEDED, NEEDED - 1)
    assert said["parameters"] == SHAPE.parameters
    assert sum(part["bytes"] for part in (*said["components"], *said["overheads"])) == NEEDED
    assert said["peak_instant"] == memory.peak_instant


def test_one_byte_too_few_is_met_by_more_minibatches() -> None:
    nearest = find_nearest_fit(SHAPE, CONFIG, NEEDED - 1, PLAN)
    assert nearest is not None
    assert nearest.settings == {"num_minibatches": 8, "num_envs": 256, "num_steps": 128}
    assert "nearest that fits: num_minibatches=8" in advise(nearest)
    assert _with(nearest.settings) == nearest.memory.total_bytes < NEEDED


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
    shares = [narrow / wide for wide, narrow in zip(SHAPE.hidden_dims, dims, strict=True)]
    assert max(shares) < 1.1 * min(shares)  # every width shrunk alike, but for whole 8s
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


def test_a_network_that_fails_by_far_keeps_more_than_a_quarter() -> None:
    """Half of it is too much and a quarter leaves half of the card: what is between is looked for."""
    config = PPOConfig(hidden_dims=(65_536, 65_536))
    shape = NetworkShape(5_300, config.hidden_dims)
    nearest = find_nearest_fit(shape, config, TIERS["low"].smallest_bytes, PLAN)
    assert nearest is not None
    assert nearest.settings["hidden_dims"][0] >= 25_088
    assert 0.95 * TIERS["low"].smallest_bytes < nearest.memory.total_bytes <= TIERS["low"].smallest_bytes


@settings(max_examples=25, deadline=None)
@given(
    dims=st.lists(st.integers(4_000, 60_000), min_size=1, max_size=3),
    envs=st.sampled_from([16, 256, 4096]),
    gigabytes=st.floats(1.0, 40.0),
)
def test_what_is_proposed_of_widths_fits_and_the_next_step_does_not(
    dims: list[int], envs: int, gigabytes: float
) -> None:
    config = PPOConfig(hidden_dims=tuple(dims), num_envs=envs)
    shape, available = NetworkShape(5_300, config.hidden_dims), round(gigabytes * GB)
    if run_memory(shape, config, PLAN).total_bytes <= available:
        return
    nearest = find_nearest_fit(shape, config, available, PLAN)
    if nearest is None or nearest.config.hidden_dims == config.hidden_dims:
        return
    assert nearest.memory.total_bytes <= available
    # A 64th of the width that is halved next is at most a 32nd of what is kept; widths are whole eights.
    wider = tuple(width * 33 // 32 + NARROWEST for width in nearest.config.hidden_dims)
    smallest = max(1, nearest.config.batch_size // SMALLEST_MINIBATCH)
    next_step = replace(nearest.config, hidden_dims=wider, num_minibatches=smallest)
    assert run_memory(replace(shape, hidden_dims=wider), next_step, PLAN).total_bytes > available


def test_nothing_fits_a_card_that_is_too_small_for_the_context() -> None:
    assert find_nearest_fit(SHAPE, CONFIG, 100_000_000, PLAN) is None
    assert "larger card" in advise(None)


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
