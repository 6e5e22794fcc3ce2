"""The memory estimate against the real trainer under torch's MemTracker, on runs drawn afresh; and what follows from it."""

import random
import statistics
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.network.config import PPOConfig
from app.network.fits.limits import find_limits
from app.network.memory.training_memory import weight_bytes
from app.network.shape import NetworkShape
from benchmarks.memory import percentile
from benchmarks.memory_draws import KINDS
from benchmarks.tracked_trainer import Case, Tracked, track

BOUNDED = "windows on a CPU"
EXACT = tuple(kind for kind in KINDS if kind != BOUNDED)


def _draw_short(kind: str, seed: int = 0) -> Case:
    """The first run drawn of a class that takes few and small steps."""
    draw = random.Random(f"short {kind} {seed}")
    drawn = (KINDS[kind](draw) for _ in iter(int, 1))
    return next(case for case in drawn if _is_short(case))


def _is_short(case: Case) -> bool:
    config = case.config
    steps = config.num_steps + 4 * config.update_epochs * config.num_minibatches
    return steps <= 16 and max(config.hidden_dims) * config.batch_size < 1e6


@cache
def _runs(kind: str, count: int) -> tuple[Tracked, ...]:
    """The same ones for both questions: tracking is what takes time."""
    draw = random.Random(f"test {kind} {count}")
    return tuple(track(KINDS[kind](draw)) for _ in range(count))


@pytest.mark.parametrize("kind", EXACT)
def test_the_estimate_is_what_the_trainer_holds(kind: str) -> None:
    """Buffer and dataset taken out of both; the narrowest networks are the furthest off."""
    assert 0 <= track(_draw_short(kind)).error < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("kind", EXACT)
def test_the_estimate_is_what_the_trainer_holds_over_more_runs(kind: str) -> None:
    runs = _runs(kind, 8)
    assert statistics.median(run.error for run in runs) < 0.01
    for run in runs:
        assert 0 <= run.error < 0.05, run.case


def test_a_run_by_hand() -> None:
    """A wide network: weights, moments and last gradients are most of it, whatever else is counted."""
    case = Case(
        NetworkShape(100, (1024,), 2),
        PPOConfig(hidden_dims=(1024,), num_envs=64, num_steps=1, num_minibatches=1),
    )
    tracked = track(case)
    assert tracked.peak > 4 * weight_bytes(case.shape)
    assert abs(tracked.error) < 0.01


def test_on_a_cpu_windows_stay_within_their_bound() -> None:
    """However many rows a run meets, episodes that begin anew within a rollout included."""
    _check_bound(count=3)


@pytest.mark.slow
def test_on_a_cpu_windows_stay_within_their_bound_over_more_runs() -> None:
    _check_bound(count=60)


def _check_bound(count: int) -> None:
    for run in _runs(BOUNDED, count):
        assert run.estimate.basis == "upper bound"
        assert run.peak <= run.estimate.tensor_bytes, run.case


@pytest.mark.parametrize("kind", ["fp32", "windows, processes"])
def test_the_largest_run_that_fits_does_fit(kind: str) -> None:
    """A card is never said to suffice for a run whose tensors and overheads pass it, margin left out."""
    _check_largest(_draw_short(kind), share=1.2)


@pytest.mark.slow
@settings(max_examples=16, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(kind=st.sampled_from(list(KINDS)), seed=st.integers(0, 10**6), share=st.floats(1.01, 2))
def test_the_largest_run_that_fits_does_fit_over_more_runs(kind: str, seed: int, share: float) -> None:
    _check_largest(_draw_short(kind, seed), share)


def _check_largest(case: Case, share: float) -> None:
    """Track the run with the most environments that `share` of its own need is said to hold."""
    first = track(case)
    budget = first.estimate.total_bytes + round((share - 1) * first.estimate.tensor_bytes)
    most = find_limits(case.shape, case.config, first.plan, [budget])[budget].largest_num_envs
    assert most > 0
    grown = track(replace(case, config=replace(case.config, num_envs=most)))
    overheads = sum(part.bytes for part in grown.estimate.overheads if part.name != "margin")
    assert grown.peak <= 1.001 * grown.estimate.tensor_bytes  # a block of a tiny run is no danger
    assert grown.peak + overheads <= budget


def test_percentile_is_a_value_that_was_seen() -> None:
    assert percentile(list(range(100)), 0.99) == 99
    assert percentile([1.0], 0.99) == 1.0
