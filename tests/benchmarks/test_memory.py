"""The memory estimate against the real trainer under torch's MemTracker, on runs drawn afresh; and what follows from it."""

import random
import statistics
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.network.config import PPOConfig
from app.network.memory.training_memory import weight_bytes
from app.network.shape import NetworkShape
from benchmarks.memory import percentile
from benchmarks.memory_draws import KINDS
from benchmarks.tracked_trainer import Case, Tracked, track

ON_A_CPU = "windows on a CPU"
ON_A_CARD = tuple(kind for kind in KINDS if kind != ON_A_CPU)


@cache
def _runs(kind: str, count: int) -> tuple[Tracked, ...]:
    """The same ones for both questions: tracking is what takes time."""
    draw = random.Random(f"test {kind} {count}")
    return tuple(track(KINDS[kind](draw)) for _ in range(count))


@pytest.mark.parametrize("kind", ON_A_CARD)
def test_the_estimate_is_what_the_trainer_holds(kind: str) -> None:
    """Buffer and dataset taken out of both; the narrowest networks are the furthest off."""
    _check(kind, count=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ON_A_CARD)
def test_the_estimate_is_what_the_trainer_holds_over_more_runs(kind: str) -> None:
    _check(kind, count=8)


def _check(kind: str, count: int) -> None:
    runs = _runs(kind, count)
    assert statistics.median(run.error for run in runs) < 0.01
    for run in runs:
        assert -0.001 < run.error < 0.05, run.case


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
    for run in _runs(ON_A_CPU, count):
        assert run.estimate.basis == "upper bound"
        assert run.peak <= run.estimate.tensor_bytes, run.case


@pytest.mark.parametrize("kind", KINDS)
def test_what_fits_does_fit(kind: str) -> None:
    """Near the boundary too: a card is never said to suffice for a run whose tensors and overheads pass it."""
    for run in _runs(kind, 3 if kind == ON_A_CPU else 1):
        for per_mille in range(-30, 31):
            _check_fit(run, 1 + per_mille / 1000)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(kind=st.sampled_from(list(KINDS)), seed=st.integers(0, 10**6), share=st.floats(0.97, 1.03))
def test_what_fits_does_fit_over_more_runs(kind: str, seed: int, share: float) -> None:
    _check_fit(track(KINDS[kind](random.Random(seed))), share)


def _check_fit(tracked: Tracked, share: float) -> None:
    card = round(tracked.estimate.total_bytes * share)
    fits = tracked.estimate.total_bytes <= card
    overheads = sum(part.bytes for part in tracked.estimate.overheads if part.name != "margin")
    assert not fits or tracked.peak + overheads <= card


def test_percentile_is_a_value_that_was_seen() -> None:
    assert percentile(list(range(100)), 0.99) == 99
    assert percentile([1.0], 0.99) == 1.0
