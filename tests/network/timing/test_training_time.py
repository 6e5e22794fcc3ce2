"""The cost model: counts by hand, and what must hold whatever the numbers are."""

import dataclasses
from typing import Any

import pytest
from calibrations import calibration, loop, spread, table
from hypothesis import given, settings
from hypothesis import strategies as st

from app.network.config import PPOConfig
from app.network.first_layer import WindowGeometry
from app.network.memory.run_plan import RunPlan
from app.network.shape import NetworkShape
from app.network.timing.calibration import ActivationRate, AdamRate, Correction
from app.network.timing.datasheets import DATASHEETS, find_datasheet
from app.network.timing.flops import count_flops
from app.network.timing.time_constants import MODEL_ERROR
from app.network.timing.training_time import TimeEstimate, estimate_time
from app.network.timing.training_work import count_update

CPU = RunPlan(device_type="cpu")
CONFIG = PPOConfig((8,), total_timesteps=64, num_envs=2, num_steps=4, num_minibatches=2, update_epochs=3)
SHAPE = NetworkShape(10, (8,), 3)


def timed(
    made: Any, config: PPOConfig = CONFIG, shape: NetworkShape = SHAPE, plan: RunPlan = CPU
) -> TimeEstimate:
    return estimate_time(shape, config, plan, made)


def test_products_are_those_of_the_network_counted_by_hand() -> None:
    # Behind the first layer, for one sample: both heads' 8 -> 64, then 64 -> 3 and 64 -> 1.
    rest = 2 * (2 * 8 * 64 + 64 * 3 + 64)
    phases = {phase.name: phase for phase in count_update(SHAPE, CONFIG, CPU)}
    samples, acted = 3 * 8, 2 * (4 + 1)
    assert phases["learning: first layer, forward"].flops == 2 * 10 * 8 * samples
    assert phases["learning: first layer, backward"].flops == 2 * 10 * 8 * samples  # no gradient of the input
    assert phases["learning: rest, forward"].flops == rest * samples
    assert phases["learning: rest, backward"].flops == 2 * rest * samples
    assert phases["rollout: first layer"].flops == 2 * 10 * 8 * acted
    assert phases["rollout: rest of the network"].flops == rest * acted


def test_at_one_gigaflop_the_time_is_the_products() -> None:
    total = sum(phase.flops for phase in count_update(SHAPE, CONFIG, CPU))
    found = timed(calibration())
    assert found.basis == "calibrated"
    assert found.device == "test CPU, 1 threads"
    assert found.seconds_per_update.likely == pytest.approx(total * 1e-9, rel=1e-5)
    assert found.steps_per_second.likely == pytest.approx(8 / (total * 1e-9), rel=1e-5)
    assert found.hours.likely == pytest.approx(8 * total * 1e-9 / 3600, rel=1e-5)  # 64 steps are 8 updates
    assert found.seconds_per_update.low == pytest.approx(total * 0.5e-9 * (1 - MODEL_ERROR), rel=1e-5)
    assert found.seconds_per_update.high == pytest.approx(total * 2e-9 * (1 + MODEL_ERROR), rel=1e-5)


def test_direct_products_agree_with_the_flops_of_the_estimate_but_for_biases() -> None:
    shape, config = NetworkShape(500, (64, 32), 3), PPOConfig((64, 32), num_envs=4, num_steps=8)
    counted = sum(phase.flops for phase in count_update(shape, config, CPU))
    assert counted == pytest.approx(count_flops(shape, config).per_update, rel=0.02)


@pytest.mark.parametrize(
    ("costs", "seconds"),
    [
        ({"step": 0.5}, 0.5 * 4),
        ({"env_step": 0.5}, 0.5 * 8),
        ({"advantage_step": 0.5}, 0.5 * 4),
        ({"gather": 0.5}, 0.5 * 6),
        ({"gather_sample": 0.5}, 0.5 * 24),
        ({"minibatch": 0.5}, 0.5 * 6),
        ({"sample": 0.5}, 0.5 * 24),
        ({"update": 0.5}, 0.5),
    ],
)
def test_the_loop_counts_steps_minibatches_and_samples(costs: dict[str, float], seconds: float) -> None:
    found = timed(calibration(loop=loop(**costs))).seconds_per_update.likely
    assert found is not None
    assert found == pytest.approx(seconds, rel=1e-3)


def test_adam_steps_every_parameter_once_a_minibatch() -> None:
    found = timed(calibration(adam=(AdamRate(10, spread(1e-3)),)))
    phase = next(each for each in found.phases if "Adam" in each.name)
    assert phase.seconds == pytest.approx(1e-3 * SHAPE.parameters * 6, rel=1e-5)


def test_the_activation_is_the_one_that_is_configured() -> None:
    rates = tuple(
        ActivationRate(name, spread(cost), spread(cost)) for name, cost in (("tanh", 1.0), ("relu", 0.0))
    )
    made = calibration(activations=rates)
    slow, fast = (timed(made, dataclasses.replace(CONFIG, activation=name)) for name in ("tanh", "relu"))
    activated = (8 + 2 * 64) * (2 * 5 + 2 * 24)
    assert slow.seconds_per_update.likely - fast.seconds_per_update.likely == pytest.approx(
        activated, rel=1e-4
    )


def test_a_correction_stretches_its_part_alone() -> None:
    plain = timed(calibration())
    stretched = timed(calibration(corrections=(Correction("network", "backward", 8, 4, spread(3.0)),)))
    changed = {
        a.name: b.seconds / a.seconds
        for a, b in zip(plain.phases, stretched.phases, strict=True)
        if a.seconds and a.seconds != b.seconds
    }
    assert changed == {"learning: rest, backward": pytest.approx(3.0, rel=1e-4)}


def test_between_measured_corrections_the_logarithms_count() -> None:
    def ratio(width: int, samples: int) -> float:
        cases = ((4, 4, 2.0), (16, 4, 8.0), (4, 1, 4.0))
        measured = tuple(Correction("network", "backward", w, s, spread(value)) for w, s, value in cases)
        config = dataclasses.replace(CONFIG, hidden_dims=(width,), num_minibatches=8 // samples)
        plain, found = (
            timed(calibration(corrections=each), config, NetworkShape(10, (width,), 3))
            for each in ((), measured)
        )
        phase = next(
            index for index, each in enumerate(plain.phases) if each.name == "learning: rest, backward"
        )
        return found.phases[phase].seconds / plain.phases[phase].seconds

    assert ratio(8, 4) == pytest.approx(4.0, rel=1e-3)  # half way from 2 to 8
    assert ratio(4, 2) == pytest.approx(2.0 * 2**0.5, rel=1e-3)  # half way from 4 to 2
    assert ratio(16, 2) == pytest.approx(8.0 * 2**0.5, rel=1e-3)
    assert ratio(64, 8) == pytest.approx(8.0, rel=1e-3)  # beyond, as at the largest


def test_a_card_computes_while_the_host_launches() -> None:
    made = calibration(device_type="cuda", loop=loop(step=1.0))
    cuda = RunPlan(device_type="cuda")
    both = timed(made, plan=cuda).seconds_per_update.likely
    assert both == pytest.approx(4.0, rel=1e-2)
    slow = tuple(dataclasses.replace(each, typical=(1.0,) * 8, slowest=(1.0,) * 8) for each in made.products)
    assert timed(dataclasses.replace(made, products=slow), plan=cuda).seconds_per_update.likely > 1e3


def test_bf16_goes_by_its_own_table_and_says_where_there_is_none() -> None:
    config = dataclasses.replace(CONFIG, precision="bf16")
    plain = calibration()
    assert any("bf16 was not measured" in note for note in timed(plain, config).notes)
    halved = tuple(table("bf16", layout, 0.5e-9) for layout in ("nn", "nt", "tn", "batched"))
    able = dataclasses.replace(plain, products=(*plain.products, *halved))
    assert timed(able, config).seconds_per_update.likely == pytest.approx(
        timed(plain).seconds_per_update.likely / 2, rel=1e-3
    )
    assert timed(able, dataclasses.replace(CONFIG, precision="auto")).notes == timed(able, config).notes


WINDOWS = RunPlan(device_type="cpu", windows=WindowGeometry(20, 8, 5_000), sliding_row_bytes=20)
WINDOWED = NetworkShape(20 * 13, (32, 16), 3)


@pytest.mark.parametrize("method", ["direct", "table", "convolution"])
def test_each_way_of_the_first_layer_has_its_products(method: Any) -> None:
    config = PPOConfig((32, 16), num_envs=8, num_steps=64, first_layer=method)
    phases = {phase.name: phase.flops for phase in count_update(WINDOWED, config, WINDOWS)}
    forward = phases["learning: first layer, forward"]
    samples, rest = 4 * 512, 2 * 100 * 32
    if method == "direct":
        assert forward == samples * (2 * 160 * 32 + rest)
    elif method == "table":
        assert samples * rest < forward < samples * (2 * 160 * 32 + rest)
    else:
        assert forward != samples * (2 * 160 * 32 + rest)
    assert phases["learning: first layer, backward"] == pytest.approx(forward, rel=0.02)


def test_whole_observations_are_said_to_be_slower() -> None:
    assert any("written out whole" in note for note in timed(calibration()).notes)
    assert timed(calibration(), PPOConfig((32, 16)), WINDOWED, WINDOWS).notes == ()


def test_without_a_calibration_there_are_bounds_and_no_figure() -> None:
    found = estimate_time(SHAPE, CONFIG, RunPlan(), gpu="NVIDIA L40S")
    assert (found.basis, found.device, found.measured_at) == ("uncalibrated", "L40S", None)
    assert found.hours.likely is None
    assert 0 < found.hours.low < found.hours.high
    assert {each.basis for each in found.constants} == {"data sheet", "assumed"}
    assert all(each.source for each in found.constants)
    assert all(phase.seconds is None for phase in found.phases)
    everything = estimate_time(SHAPE, CONFIG, RunPlan())
    assert everything.hours.low <= found.hours.low
    assert everything.hours.high >= found.hours.high


@pytest.mark.parametrize("gpu", ["", "MIG 3g.20gb", "RTX PRO 6000", "NVIDIA L40S"])
def test_bounds_name_the_sheets_that_set_them(gpu: str) -> None:
    found = estimate_time(SHAPE, dataclasses.replace(CONFIG, precision="bf16"), RunPlan(), gpu=gpu)
    constants = {each.name: each for each in found.constants}
    assert len(constants) == len(found.constants)
    wanted = ["L40S"] if "L40S" in gpu else ["B200", "L4"]  # the fastest products, the slowest memory
    sheets = {sheet.name: sheet for sheet in DATASHEETS}
    for name in wanted:
        sheet = sheets[name]
        assert constants[f"peak of bf16 products, {name}"].value == sheet.bf16
        assert constants[f"peak of fp32 products, {name}"].value == sheet.fp32
        assert constants[f"memory bandwidth, {name}"].value == sheet.bandwidth
    assert constants["part of the peaks reached, at worst"].value == 0.05
    assert not any("CPU" in name for name in constants)


def test_a_cpu_s_bounds_name_what_was_assumed_of_it() -> None:
    constants = {each.name: each for each in estimate_time(SHAPE, CONFIG, CPU).constants}
    assert constants["peak of fp32 products, fast CPU"].value == 4e12
    assert constants["memory bandwidth, slow CPU"].value == 10e9
    assert constants["part of the loop's best seconds on a CPU"].value == 0.1
    assert {each.basis for each in constants.values()} == {"assumed"}


def test_a_figure_names_every_speed_that_is_no_table() -> None:
    corrections = (Correction("network", "backward", 8, 4, spread(3.0)),)
    made = calibration(corrections=corrections, unsteadiness=1.25, loop=loop(gather=0.5))
    constants = {each.name: each for each in timed(made).constants}
    assert constants["unsteadiness"].value == 1.25
    assert constants["correction of network, backward, 8 wide, 4 samples"].value == 3.0
    assert constants["loop: gather"].value == 0.5
    assert constants["error of the model"].value == MODEL_ERROR
    assert {f"loop: {name}" for name in made.loop.__slots__} <= set(constants)
    assert {f"a value in {rate.name}" for rate in made.streams} <= set(constants)
    assert len(constants) == len(timed(made).constants)


SENT = 2 * (1 / 2) * 4 * SHAPE.parameters
"""Bytes that each of two processes sends a minibatch: half the gradients to be added up, half of the sums."""


def test_each_of_two_processes_takes_half_of_every_minibatch_and_sends_gradients() -> None:
    two = dataclasses.replace(CPU, processes=2)
    alone, shared = count_update(SHAPE, CONFIG, CPU), count_update(SHAPE, CONFIG, two)
    flops = sum(phase.flops for phase in alone) / 2
    assert sum(phase.flops for phase in shared) == flops
    copied = next(phase for phase in shared if phase.sent)
    assert copied.sent == 6 * SENT  # 3 epochs of 2 minibatches
    assert copied.bytes == 6 * 3 * 8 * SHAPE.parameters  # joined, divided, copied back: each read and written
    found = timed(calibration(), plan=two)
    seconds = flops * 1e-9 + 6 * SENT / 16e9
    assert found.seconds_per_update.likely == pytest.approx(seconds, rel=1e-5)
    assert found.steps_per_second.likely == pytest.approx(8 / seconds, rel=1e-5)  # of both together
    assert found.hours.likely == pytest.approx(8 * seconds / 3600, rel=1e-5)
    slowest = (1 + MODEL_ERROR) * (flops * 2e-9 + 6 * SENT / 1e9)
    assert found.seconds_per_update.high == pytest.approx(slowest, rel=1e-5)


def test_how_fast_gradients_are_sent_is_said_to_be_assumed() -> None:
    two = dataclasses.replace(CPU, processes=2)
    for made, speeds in ((None, [900e9, 1e9]), (calibration(), [900e9, 16e9, 1e9])):
        alone, shared = timed(made), timed(made, plan=two)
        assert any("was not measured" in note for note in shared.notes)
        assert not any("gradients" in note for note in alone.notes)
        sent = {each.name: each for each in shared.constants if "sent by a process" in each.name}
        assert [each.value for each in sent.values()] == speeds
        assert {each.basis for each in sent.values()} == {"assumed"}
        assert not any("sent by" in each.name for each in alone.constants)


def test_bounds_count_each_process_s_share_by_hand() -> None:
    config = PPOConfig((512, 256), num_envs=64, num_steps=16)
    shape = NetworkShape(300, (512, 256), 3)
    (t4,) = find_datasheet("T4", "cuda")
    for processes in (1, 2, 8):
        phases = count_update(shape, dataclasses.replace(config, num_envs=64 // processes), RunPlan())
        flops = sum(phase.flops for phase in phases)
        moved = sum(phase.bytes for phase in phases)
        sent = 16 * 2 * (processes - 1) / processes * 4 * shape.parameters
        moved += 16 * 3 * 8 * shape.parameters if processes > 1 else 0
        _, high = t4.seconds(flops, moved, "fp32", steps=16, minibatches=16)
        found = estimate_time(shape, config, RunPlan(processes=processes), gpu="T4")
        assert found.seconds_per_update.high == pytest.approx(high + sent / 1e9, rel=1e-5)
        assert found.steps_per_second.low == pytest.approx(1024 / (high + sent / 1e9), rel=1e-5)


def test_sending_what_nothing_hides_sets_the_lower_bound() -> None:
    shape = NetworkShape(100_000, (8192,), 3)
    config = PPOConfig((8192,), num_envs=2, num_steps=1, num_minibatches=1, update_epochs=1)
    found = estimate_time(shape, config, RunPlan(processes=2), gpu="B200")
    assert found.seconds_per_update.low == pytest.approx(4 * shape.parameters / 900e9, rel=1e-5)


def test_a_calibration_of_another_kind_of_device_is_left_aside() -> None:
    found = timed(calibration(), plan=RunPlan(device_type="cuda"))
    assert found.basis == "uncalibrated"
    assert any("is of a cpu device" in note for note in found.notes)


widths = st.lists(st.integers(1, 600), min_size=1, max_size=4).map(tuple)
configs = st.builds(
    lambda dims, envs, steps, epochs: PPOConfig(
        dims, num_envs=envs, num_steps=4 * steps, update_epochs=epochs, num_minibatches=4
    ),
    widths,
    st.integers(1, 64),
    st.integers(1, 32),
    st.integers(1, 8),
)
MADE = calibration(
    loop=loop(operation=1e-6, step=1e-4, minibatch=1e-3), adam=(AdamRate(1_000, spread(1e-9)),)
)


@settings(deadline=None, max_examples=60)
@given(configs, st.integers(1, 2_000), st.booleans())
def test_the_range_holds_the_figure_and_the_phases_add_up(
    config: PPOConfig, obs_dim: int, windowed: bool
) -> None:
    shape = NetworkShape(obs_dim + 100, config.hidden_dims, 3)
    plan = dataclasses.replace(CPU, windows=WindowGeometry(10, 8, 3_000)) if windowed else CPU
    found = timed(MADE, config, shape, plan)
    for quantity in (found.seconds_per_update, found.steps_per_second, found.hours):
        assert quantity.low <= quantity.likely <= quantity.high
    total = sum(phase.seconds for phase in found.phases)
    assert total == pytest.approx(found.seconds_per_update.likely, rel=1e-4)
    assert sum(phase.share for phase in found.phases) == pytest.approx(1, abs=2e-3)


@settings(deadline=None, max_examples=60)
@given(configs, st.integers(1, 2_000), st.data())
def test_more_work_is_never_faster(config: PPOConfig, obs_dim: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(config.hidden_dims) - 1))
    grown = list(config.hidden_dims)
    grown[index] += data.draw(st.integers(1, 500))
    changes = data.draw(
        st.sampled_from(
            [
                {"hidden_dims": tuple(grown)},
                {"update_epochs": config.update_epochs + 1},
                {"num_steps": config.num_steps * 2},
                {"num_envs": config.num_envs * 2},
                {"layer_norm": True},
            ]
        )
    )
    larger = dataclasses.replace(config, **changes)
    before, after = (
        timed(MADE, each, NetworkShape(obs_dim, each.hidden_dims, 3, layer_norm=each.layer_norm))
        for each in (config, larger)
    )
    assert after.seconds_per_update.likely >= before.seconds_per_update.likely * (1 - 1e-6)


@settings(deadline=None, max_examples=40)
@given(
    configs, st.sampled_from(["T4", "L4", "NVIDIA A100-SXM4-80GB", "H200"]), st.sampled_from(["fp32", "bf16"])
)
def test_bounds_from_data_sheets_are_bounds(config: PPOConfig, gpu: str, precision: Any) -> None:
    shape = NetworkShape(300, config.hidden_dims, 3)
    found = estimate_time(shape, dataclasses.replace(config, precision=precision), RunPlan(), gpu=gpu)
    assert 0 < found.seconds_per_update.low < found.seconds_per_update.high
    assert found.steps_per_second.low < found.steps_per_second.high


def test_interruptions_that_medians_leave_out_lengthen_the_likely_time_alone() -> None:
    steady = timed(calibration())
    uneven = timed(dataclasses.replace(calibration(), unsteadiness=1.05))
    assert uneven.seconds_per_update.likely == pytest.approx(
        1.05 * steady.seconds_per_update.likely, rel=1e-5
    )
    assert [each.share for each in uneven.phases] == [each.share for each in steady.phases]
    assert uneven.seconds_per_update.high == max(
        steady.seconds_per_update.high, uneven.seconds_per_update.likely
    )
