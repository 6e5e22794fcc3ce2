from dataclasses import replace

import pytest

from app.network.config import FirstLayerMethod, PPOConfig
from app.network.first_layer import WindowGeometry
from app.network.memory.device_overhead import CUDA_OVERHEADS, device_overheads
from app.network.memory.run_memory import MemoryEstimate, run_memory
from app.network.memory.run_plan import RunPlan
from app.network.memory.tape import BLOCK
from app.network.shape import NetworkShape

SHAPE = NetworkShape(5300, (512, 256, 128))
CONFIG = PPOConfig(num_envs=64, num_steps=128)


def _part(memory: MemoryEstimate, name: str) -> int:
    return sum(component.bytes for component in memory.components if component.name == name)


def test_components_and_overheads_add_up() -> None:
    memory = run_memory(SHAPE, CONFIG, RunPlan())
    assert sum(component.bytes for component in memory.components) == memory.tensor_bytes
    assert memory.tensor_bytes + sum(o.bytes for o in memory.overheads) == memory.total_bytes
    assert memory.peak_instant in {instant.name for instant in memory.instants}


def test_the_peak_is_the_largest_instant() -> None:
    memory = run_memory(SHAPE, CONFIG, RunPlan())
    peak = max(memory.instants, key=lambda instant: instant.bytes)
    assert memory.peak_instant == peak.name
    assert {name: _part(memory, name) for name in peak.parts} == peak.parts


def test_the_rollout_buffer_holds_observations_twice_and_34_bytes() -> None:
    memory = run_memory(SHAPE, CONFIG, RunPlan())
    assert _part(memory, "rollout buffer") == 64 * 128 * (2 * 21_200 + 34)


def test_an_index_in_place_of_the_window_needs_a_thousandth() -> None:
    memory = run_memory(SHAPE, CONFIG, RunPlan(rollout_bytes_per_step=4))
    assert _part(memory, "rollout buffer") == 64 * 128 * (2 * 4 + 34)
    stored = run_memory(SHAPE, CONFIG, RunPlan())
    assert _part(stored, "minibatch observations") == 2048 * 21_200
    assert (
        _part(memory, "minibatch observations") == 2048 * 4
    )  # the indices, beside the windows built from them
    assert _part(memory, "observations") == 2048 * 21_200


def test_gaussian_actions_are_stored_too() -> None:
    gaussian = replace(SHAPE, action_kind="gaussian")
    more = _part(run_memory(gaussian, CONFIG, RunPlan()), "rollout buffer")
    less = _part(run_memory(SHAPE, CONFIG, RunPlan()), "rollout buffer")
    assert more - less == 64 * 128 * (3 * 4 - 8)  # in place of an int64


def test_normalised_observations_stand_beside_the_raw_ones() -> None:
    memory = run_memory(SHAPE, replace(CONFIG, norm_obs=True), RunPlan())
    assert _part(memory, "minibatch observations") == 2048 * 21_200
    assert memory.peak_instant == "observations normalised"
    assert _part(memory, "observations") == 2 * 2048 * 21_200  # less the mean, then times the scale
    forward = next(instant for instant in memory.instants if instant.name == "forward end")
    assert forward.parts["observations"] == 2048 * 21_200
    assert _part(memory, "observation statistics") == 4 * 42_496 + 2 * 21_504 + 2 * 512


def test_acting_for_very_many_environments_can_be_the_peak() -> None:
    few = run_memory(SHAPE, replace(CONFIG, num_envs=64), RunPlan())
    many = run_memory(SHAPE, replace(CONFIG, num_envs=65_536, num_steps=1, num_minibatches=64), RunPlan())
    assert not few.peak_instant.startswith("rollout")
    assert many.peak_instant.startswith("rollout")


def test_bf16_is_reckoned_and_auto_is_bounded_by_the_larger() -> None:
    kinds = ("fp32", "bf16", "auto")
    fp32, bf16, auto = (run_memory(SHAPE, replace(CONFIG, precision=kind), RunPlan()) for kind in kinds)
    assert (fp32.basis, bf16.basis, auto.basis) == ("closed form", "closed form", "upper bound")
    assert auto.tensor_bytes == max(fp32.tensor_bytes, bf16.tensor_bytes)
    assert _part(bf16, "bf16 copies") >= 2 * 2048 * 5300


def test_one_of_several_processes_holds_its_share() -> None:
    alone, shared = (run_memory(SHAPE, CONFIG, RunPlan(processes=size)) for size in (1, 4))
    assert _part(shared, "rollout buffer") == _part(alone, "rollout buffer") // 4
    assert _part(shared, "weights") == _part(alone, "weights")


def test_a_dataset_on_the_device_counts() -> None:
    without, holding = (run_memory(SHAPE, CONFIG, RunPlan(dataset_bytes=size)) for size in (0, 10**9))
    assert holding.tensor_bytes - without.tensor_bytes == 10**9


def test_each_constant_has_a_source_and_a_basis() -> None:
    for overhead in (*device_overheads("cuda", 1000), *device_overheads("cpu", 1000)):
        assert overhead.source
        assert overhead.basis in {"measured", "assumed"}


def test_the_margin_is_a_tenth_of_the_tensors() -> None:
    assert device_overheads("cuda", 1000)[-1].bytes == 100
    assert len(device_overheads("cuda", 0)) == len(CUDA_OVERHEADS) + 1


WINDOWS = WindowGeometry(100, 48, 12_000)
WINDOWED = RunPlan(device_type="cpu", rollout_bytes_per_step=8, windows=WINDOWS, sliding_row_bytes=20)


def test_windows_by_index_and_account_rows_are_stored_not_observations() -> None:
    memory = run_memory(SHAPE, CONFIG, WINDOWED)
    per_step = 2 * 8 + 34 + 20 + 8
    assert _part(memory, "rollout buffer") == 64 * 128 * per_step + 64 * (100 * 20 + 8)


def test_a_minibatch_holds_its_indices_and_account_windows_beside_the_first_layer_s() -> None:
    memory = run_memory(SHAPE, CONFIG, WINDOWED)
    forward = next(instant for instant in memory.instants if instant.name == "forward end")
    assert forward.parts["minibatch observations"] == 2048 * 8 + 2048 * 2_000
    assert _part(memory, "windows") > 0  # workspace and spectra
    assert memory.basis == "upper bound"  # how many distinct windows there are, the run decides
    direct = run_memory(SHAPE, replace(CONFIG, first_layer="direct"), WINDOWED)
    assert _part(direct, "first layer") == 2048 * 4800 * 4


def test_running_normalisation_writes_observations_out() -> None:
    memory = run_memory(SHAPE, replace(CONFIG, norm_obs=True), WINDOWED)
    assert _part(memory, "first layer") == _part(memory, "windows") == 0
    assert _part(memory, "observations") == 3 * 2048 * 21_200
    assert _part(memory, "minibatch observations") == 2048 * 8 + 2048 * 2_000


def test_a_card_s_tables_hold_every_row() -> None:
    on_card = replace(WINDOWED, device_type="cuda")
    memory = run_memory(SHAPE, replace(CONFIG, first_layer="table"), on_card)
    assert _part(memory, "windows") >= 12_000 * 4800 * 4
    assert memory.basis == "closed form"


def test_the_copy_of_an_update_that_may_be_repeated_lies_on_the_host() -> None:
    asked = replace(CONFIG, oom_retry=True)
    card, host = (run_memory(SHAPE, asked, RunPlan(device_type=kind)) for kind in ("cuda", "cpu"))
    assert _part(card, "copy for oom_retry") == 0
    counted = 2 * BLOCK + 2 * 10 * BLOCK + 2 * BLOCK
    """Returns and lengths of 64 environments' episodes, two generators' 5,056 bytes, steps and updates."""
    assert _part(host, "copy for oom_retry") == _part(host, "weights") + _part(host, "optimizer") + counted
    without = run_memory(SHAPE, CONFIG, RunPlan(device_type="cpu"))
    assert host.tensor_bytes - without.tensor_bytes == _part(host, "copy for oom_retry")


def test_running_statistics_last_and_go_into_the_copy() -> None:
    host = RunPlan(device_type="cpu")
    plain = run_memory(SHAPE, replace(CONFIG, oom_retry=True), host)
    normalised = run_memory(SHAPE, replace(CONFIG, oom_retry=True, norm_obs=True, norm_reward=True), host)
    assert _part(normalised, "reward statistics") == (1 + 3) * BLOCK
    assert _part(normalised, "observation statistics") >= 5300 * (4 * 8 + 2 * 4)
    statistics = _part(normalised, "reward statistics") + _part(normalised, "observation statistics")
    copied = [_part(memory, "copy for oom_retry") for memory in (plain, normalised)]
    assert copied[1] - copied[0] == statistics


def test_with_the_copy_go_the_environments_accounts_twice_while_it_is_made() -> None:
    host = run_memory(SHAPE, replace(CONFIG, oom_retry=True), replace(WINDOWED, device_type="cpu"))
    accounts = _part(host, "environment")
    parts = ("weights", "optimizer", "environment")
    assert _part(host, "copy for oom_retry") == sum(_part(host, name) for name in parts) + 24 * BLOCK
    assert {instant.bytes for instant in host.instants if instant.name == "state copied"} == {accounts}
    assert accounts >= 64 * 100 * 20


@pytest.mark.parametrize("method", ["direct", "table"])
def test_over_windows_too_auto_is_bounded_by_the_larger(method: FirstLayerMethod) -> None:
    """Windows that are written out have 4 B a value in fp32, 2 in bf16."""
    asked = replace(CONFIG, first_layer=method)
    on_card = replace(WINDOWED, device_type="cuda")
    fp32, bf16, auto = (
        run_memory(SHAPE, replace(asked, precision=kind), on_card) for kind in ("fp32", "bf16", "auto")
    )
    assert auto.tensor_bytes == max(fp32.tensor_bytes, bf16.tensor_bytes)
    assert fp32.tensor_bytes > bf16.tensor_bytes


def test_one_of_several_processes_plans_its_windows_for_its_own_share() -> None:
    """Two processes with 64 environments in all hold what one with 32 does, gradients in buckets aside."""
    on_card = replace(WINDOWED, device_type="cuda")
    shared = run_memory(SHAPE, replace(CONFIG, num_envs=128), replace(on_card, processes=2))
    alone = run_memory(SHAPE, CONFIG, on_card)
    assert _part(shared, "windows") == _part(alone, "windows")


def test_a_way_is_chosen_for_the_minibatches_that_are_asked_about() -> None:
    """As the trainer would choose it, were the configuration to say so."""
    on_card = replace(WINDOWED, device_type="cuda")
    config = replace(CONFIG, num_minibatches=64)
    asked = run_memory(SHAPE, CONFIG, on_card, minibatch_size=config.minibatch_size)
    assert _part(asked, "windows") == _part(run_memory(SHAPE, config, on_card), "windows")
