"""What lasts from rollout to rollout, by hand."""

from dataclasses import replace

from app.network.config import PPOConfig
from app.network.memory.rollout_memory import RolloutMemory
from app.network.shape import NetworkShape

SHAPE = NetworkShape(1000, (256, 128))
CONFIG = PPOConfig(hidden_dims=(256, 128), num_envs=256, num_steps=128)
STORED = RolloutMemory(SHAPE, CONFIG, 4000)


def test_the_buffer_by_hand() -> None:
    assert STORED.buffer == 256 * 128 * (2 * 4000 + 6 * 4 + 2 + 8)


def test_account_windows_are_stored_row_by_row() -> None:
    sliding = RolloutMemory(SHAPE, CONFIG, 8, sliding_row_bytes=20, lookback=100)
    assert sliding.buffer == 256 * 128 * (2 * 8 + 34) + 256 * (100 + 128) * 20 + 8 * 256 * 129


def test_processes_share_the_environments() -> None:
    assert replace(STORED, processes=4).envs == 64
    assert replace(STORED, processes=4).buffer == STORED.buffer // 4
