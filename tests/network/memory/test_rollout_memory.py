"""The rollout's memory by hand."""

from dataclasses import replace

from app.network.config import PPOConfig
from app.network.memory.rollout_memory import MOMENTS, SMALL_TENSORS, RolloutMemory
from app.network.memory.tape import BLOCK
from app.network.shape import NetworkShape

SHAPE = NetworkShape(1000, (256, 128))
CONFIG = PPOConfig(hidden_dims=(256, 128), num_envs=256, num_steps=128)
STORED = RolloutMemory(SHAPE, CONFIG, 4000)


def test_the_buffer_by_hand() -> None:
    assert STORED.buffer == 256 * 128 * (2 * 4000 + 6 * 4 + 2 + 8)


def test_account_windows_are_stored_row_by_row() -> None:
    sliding = RolloutMemory(SHAPE, CONFIG, 8, sliding_row_bytes=20, lookback=100)
    assert sliding.buffer == 256 * 128 * (2 * 8 + 34) + 256 * (100 + 128) * 20 + 8 * 256 * 129


def test_deciding_holds_a_layer_s_input_and_output() -> None:
    # The widest moment is the first layer's activation, 2 · 256; the observation is the environment's own.
    small = SMALL_TENSORS * BLOCK
    assert STORED.deciding == 256 * 4 * 2 * 256 + small
    built = replace(STORED, built=True)
    assert built.deciding - STORED.deciding == 256 * 4000


def test_normalising_takes_the_observation_twice_and_float64_moments() -> None:
    normalised = replace(STORED, config=replace(CONFIG, norm_obs=True))
    assert normalised.deciding == 256 * 2 * 4000 + MOMENTS * 4000 + SMALL_TENSORS * BLOCK


def test_bf16_copies_the_weights() -> None:
    narrow = replace(STORED, config=replace(CONFIG, precision="bf16"), windowed=True)
    outside = SHAPE.parameters - 256 * 1000  # the windows' weights stay as they are
    assert narrow.deciding >= 2 * outside


def test_processes_share_the_environments() -> None:
    assert replace(STORED, processes=4).envs == 64
    assert replace(STORED, processes=4).buffer == STORED.buffer // 4
