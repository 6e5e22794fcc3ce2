"""Windows stored row by row are, bit by bit, those that the environment gave."""

from typing import Any

import pytest
import torch

from worker.ppo.sliding import SlidingWindows


@pytest.mark.parametrize("episode_length", [1, 3, 7, 50])
def test_windows_are_those_that_were_seen(sliding_env: Any, episode_length: int) -> None:
    env = sliding_env(3, episode_length=episode_length)
    env.reset(seed=1)
    stored = SlidingWindows(env.observe()["account"], 20)
    generator = torch.Generator().manual_seed(2)
    for _ in range(2):  # a second rollout goes on with the windows of the first
        stored.begin(env.observe()["account"])
        seen, final = [], []
        for t in range(20):
            seen.append(env.observe()["account"])
            step = env.step(torch.randint(3, (3,), generator=generator))
            final.append(step.final_parts["account"])
            stored.append(t, step.final_parts["account"], step.terminated_N | step.truncated_N)
        everything = torch.arange(60)
        assert torch.equal(stored.windows(everything), torch.cat(seen))
        assert torch.equal(stored.final_windows(everything), torch.cat(final))
        some = torch.tensor([59, 0, 31, 31])
        assert torch.equal(stored.windows(some), torch.cat(seen)[some])


def test_memory_is_a_row_a_step() -> None:
    window = torch.zeros(64, 100, 5)
    held = SlidingWindows(window, 128).nbytes
    assert held == 64 * (100 + 128) * 5 * 4 + 129 * 64 * 8
    assert held < 128 * window.nbytes / 40


def test_reading_leaves_what_is_stored_alone() -> None:
    stored = SlidingWindows(torch.ones(1, 2, 1), 2)
    stored.begin(torch.ones(1, 2, 1))
    stored.append(0, torch.full((1, 2, 1), 5.0), torch.tensor([True]))
    before = stored.final_windows(torch.tensor([0]))
    stored.windows(torch.tensor([1])).fill_(9)
    assert stored.windows(torch.tensor([1])).tolist() == [[[0.0], [0.0]]]
    assert before.flatten().tolist() == [1.0, 5.0]
