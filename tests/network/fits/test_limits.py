"""The largest minibatch and num_envs: what is found fits, and the next step does not."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.network.config import PPOConfig
from app.network.first_layer import WindowGeometry
from app.network.fits.cards import CARDS
from app.network.fits.limits import FINE_BELOW, GRAIN, divisors_of_batch, find_limits, largest_minibatches
from app.network.memory.possible_runs import PossibleRuns
from app.network.memory.run_memory import run_bytes
from app.network.memory.run_plan import RunPlan
from app.network.shape import NetworkShape

SHAPE = NetworkShape(5300, (1024, 512, 256))
CONFIG = PPOConfig(hidden_dims=(1024, 512, 256), num_envs=256, num_steps=128)
CARD_BYTES = sorted({card.bytes for card in CARDS})


def _needs(shape: NetworkShape, config: PPOConfig, plan: RunPlan, **how: int) -> int:
    return run_bytes(shape, config, plan, **how)


@st.composite
def runs(draw: st.DrawFn) -> tuple[NetworkShape, PPOConfig, RunPlan]:
    dims = tuple(draw(st.lists(st.sampled_from([8, 33, 64, 100, 256, 777, 2048]), min_size=1, max_size=4)))
    processes = draw(st.sampled_from([1, 1, 1, 2]))
    parts = draw(st.integers(1, 9))
    steps = draw(st.sampled_from([1, 5, 16, 100, 128, 2048]))
    envs = processes * parts * draw(st.integers(1, 64))
    config = PPOConfig(
        hidden_dims=dims,
        num_envs=envs,
        num_steps=steps,
        num_minibatches=parts,
        precision=draw(st.sampled_from(["fp32", "bf16", "auto"])),
        activation=draw(st.sampled_from(["tanh", "elu"])),
        layer_norm=draw(st.booleans()),
        shared_trunk=draw(st.booleans()),
        norm_obs=draw(st.booleans()),
    ).check()
    shape = NetworkShape(
        draw(st.integers(1, 6000)), dims, 3, "discrete", config.layer_norm, config.shared_trunk
    )
    plan = RunPlan(
        device_type=draw(st.sampled_from(["cuda", "cpu"])),
        adam=draw(st.sampled_from(["fused", "foreach", "for-loop"])),
        processes=processes,
    )
    return shape, config, plan


@settings(max_examples=25, deadline=None)
@given(runs())
def test_what_is_found_fits_and_the_next_step_does_not(run: tuple[NetworkShape, PPOConfig, RunPlan]) -> None:
    shape, config, plan = run
    for budget, limits in find_limits(shape, config, plan, CARD_BYTES[::3]).items():
        samples = limits.largest_minibatch
        step = GRAIN if samples >= FINE_BELOW else 1
        assert not samples or _needs(shape, config, plan, minibatch_size=samples) <= budget
        assert _needs(shape, config, plan, minibatch_size=samples + step) > budget
        envs = limits.largest_num_envs
        assert not envs or _needs(shape, replace(config, num_envs=envs).check(), plan) <= budget
        assert envs % plan.processes == 0
        assert envs // plan.processes * config.num_steps % config.num_minibatches == 0


@settings(max_examples=20, deadline=None)
@given(runs())
def test_more_memory_never_allows_less(run: tuple[NetworkShape, PPOConfig, RunPlan]) -> None:
    found = list(find_limits(*run, CARD_BYTES).values())
    for name in ("largest_minibatch", "largest_num_envs"):
        values = [getattr(each, name) for each in found]
        assert values == sorted(values)
    fewest = [each.fewest_minibatches or math.inf for each in found]
    assert fewest == sorted(fewest, reverse=True)


def test_the_next_environments_do_not_fit() -> None:
    limits = find_limits(SHAPE, CONFIG, RunPlan(), [24_000_000_000])[24_000_000_000]
    more = replace(CONFIG, num_envs=limits.largest_num_envs + 4)
    assert _needs(SHAPE, more, RunPlan()) > 24_000_000_000


def test_exactly_enough_is_enough() -> None:
    for samples in (1000, 4096, 128 * 999):
        budget = _needs(SHAPE, CONFIG, RunPlan(), minibatch_size=samples)
        found = largest_minibatches(SHAPE, CONFIG, RunPlan(), [budget, budget - 1])
        assert found[budget] >= samples > found[budget - 1]


def test_nothing_fits_no_memory() -> None:
    limits = find_limits(SHAPE, CONFIG, RunPlan(), [0, 100])[0]
    assert (limits.largest_minibatch, limits.fewest_minibatches, limits.largest_num_envs) == (0, None, 0)


def test_a_cpu_finds_its_limits_beside_oom_retry_s_copy() -> None:
    config = replace(CONFIG, oom_retry=True)
    plain, copied = (
        find_limits(SHAPE, each, RunPlan(device_type="cpu"), [4_000_000_000])[4_000_000_000]
        for each in (CONFIG, config)
    )
    assert plain.largest_minibatch > copied.largest_minibatch


def test_windows_are_searched_without_taking_anything_for_straight() -> None:
    plan = RunPlan(
        device_type="cpu",
        windows=WindowGeometry(100, 48, 2335),
        rollout_bytes_per_step=8,
        sliding_row_bytes=20,
    )
    for budget, limits in find_limits(SHAPE, CONFIG, plan, [1_000_000_000, 4_000_000_000]).items():
        samples = limits.largest_minibatch
        assert samples > 0
        assert _needs(SHAPE, CONFIG, plan, minibatch_size=samples) <= budget
        assert _needs(SHAPE, CONFIG, plan, minibatch_size=samples + GRAIN) > budget


def test_all_cards_take_few_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer within milliseconds rests on it."""
    calls = []
    total_bytes = PossibleRuns.total_bytes.fget

    def counted(run: PossibleRuns) -> int:
        calls.append(run)
        return total_bytes(run)  # type: ignore[misc] # a property has one

    monkeypatch.setattr(PossibleRuns, "total_bytes", property(counted))
    find_limits(SHAPE, CONFIG, RunPlan(), CARD_BYTES)
    assert len(calls) <= 30


def test_the_fewest_minibatches_divide_the_batch() -> None:
    assert divisors_of_batch(6, 4) == [1, 2, 3, 4, 6, 8, 12, 24]
    budget = _needs(SHAPE, CONFIG, RunPlan(), minibatch_size=5000)
    limits = find_limits(SHAPE, CONFIG, RunPlan(), [budget])[budget]
    assert limits.fewest_minibatches == 8  # 32,768 samples in parts of at most 5,0xx
