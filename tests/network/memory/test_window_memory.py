"""What products over windows hold, by hand; tests/worker/ppo/test_window_source.py holds it to the real ones."""

from dataclasses import replace

import pytest

from app.network.config import PPOConfig
from app.network.first_layer import FirstLayerPlan, FirstLayerWork, Way, WindowGeometry
from app.network.memory.tape import blocks
from app.network.memory.window_memory import WindowMemory

CONFIG = PPOConfig(hidden_dims=(256,), num_envs=64, num_steps=128)
MARKET = WindowGeometry(100, 48, 12_000, 1, 20_000)
DIRECT, TABLE, CONVOLUTION = Way("direct"), Way("table"), Way("convolution", 65)


def _memory(way: Way, device_type: str = "cuda", windows: WindowGeometry = MARKET) -> WindowMemory:
    work = FirstLayerWork.of(CONFIG, windows, device_type)
    return WindowMemory(work, FirstLayerPlan(way, way, ""), num_steps=128, restarts=0)


def test_direct_holds_each_sample_s_window() -> None:
    memory = _memory(DIRECT)
    assert memory.minibatch(2048).held == 2048 * 4800 * 4
    assert memory.run == memory.table == memory.making == 0


def test_bf16_copies_the_series_and_the_weights() -> None:
    memory = replace(_memory(DIRECT), item=2)
    assert memory.run == 20_000 * 48 * 2  # whole blocks, as it happens
    taken = memory.minibatch(2048)
    assert taken.held == 2048 * 4800 * 2
    assert taken.forward == taken.backward == 2 * 256 * 4800 + 2 * 2048 * 256


def test_a_card_s_table_holds_every_window() -> None:
    memory = _memory(TABLE)
    tables = (8 * 20_000, 20_000, 8 * 12_000, 12_000 * 4800 * 4, 8 * 20_000)
    assert memory.run == sum(map(blocks, tables))
    assert memory.table == 12_000 * 256 * 4
    assert memory.making == 1024 * 4800 * 4 + 8 * 1024  # windows a thousand at a time, by their rows
    assert memory.minibatch(2048).backward == 12_000 * 256 * 4


def test_a_cpu_s_table_holds_those_of_the_minibatch() -> None:
    few = _memory(TABLE, "cpu", replace(MARKET, rows=1_000))
    taken = few.minibatch(2048)
    assert taken.held == 1_000 * 4800 * 4 + 2048 * 8
    assert taken.forward == (1_000 + 2048) * 256 * 4


def test_a_convolution_by_hand() -> None:
    workspace, spectrum, rest = _memory(CONVOLUTION).convolution_bytes(65)
    points, frequencies, count = 164, 83, 185  # 12,000 rows in blocks of 65
    assert spectrum == 4 * (2 * count) * (2 * 48) * frequencies
    assert workspace == 4 * 256 * (2 * frequencies * (48 + count) + 65 * count + 2 * 4800)
    assert rest == 4 * frequencies * (100 + 65 + 2 * points) + 12 * 20_001


def test_looking_at_windows_by_hand() -> None:
    """Direct: windows and their rows' numbers; of a table: rows' numbers and products, on a CPU with those that are added."""
    assert _memory(DIRECT).looking(64) == 64 * 4800 * 4 + blocks(64 * 8)
    assert _memory(TABLE).looking(64) == blocks(64 * 8) + 64 * 256 * 4
    on_cpu = _memory(TABLE, "cpu")
    assert on_cpu.looking(64) == on_cpu.table + blocks(64 * 8) + 64 * 256 * 4
    assert on_cpu.table == 64 * 129 * 256 * 4  # no episode begins anew


def test_a_series_is_transformed_once_on_a_card_and_before_each_rollout_on_a_cpu() -> None:
    """Blocks written out with both parts of their spectra, by the numbers of their rows."""
    on_card, on_cpu = (
        _transforming(185),
        _transforming(64 * 2),
    )  # rollouts of 128 steps lie in two blocks each
    card, host = _memory(CONVOLUTION), _memory(CONVOLUTION, "cpu")
    assert card.building == sum(card.convolution_bytes(65)[1:]) + on_card
    assert card.preparing == host.building == 0
    assert host.preparing == on_cpu
    assert _memory(DIRECT).building == _memory(DIRECT, "cpu").preparing == 0


def _transforming(count: int) -> int:
    points, frequencies = 164, 83
    return blocks(4 * count * 48 * (points + 2 * frequencies)) + blocks(8 * count * points)


def test_separate_trunks_keep_their_weights_joined() -> None:
    shared = _memory(DIRECT)
    assert replace(shared, shared_trunk=False, rest=500).run == 4 * 256 * (4800 + 500 + 1)


@pytest.mark.parametrize("way", [DIRECT, TABLE, CONVOLUTION], ids=str)
def test_more_samples_never_take_less(way: Way) -> None:
    taken = [_memory(way).minibatch(rows) for rows in (1, 100, 10_000)]
    assert sorted(taken, key=lambda each: each.held + each.forward) == taken
