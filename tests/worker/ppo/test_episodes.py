import pytest
import torch

from tests.worker.live_bytes import LiveBytes
from tests.worker.ppo.other_processes import Listening, Telling
from worker.ppo.episodes import RECENT, EpisodeTally

CPU = torch.device("cpu")


def test_episodes_are_counted_across_rollouts() -> None:
    tally = EpisodeTally(2, CPU)
    assert tally.mean_return is None
    assert tally.mean_length is None
    tally.count(torch.tensor([[1.0, 10.0], [2.0, 20.0]]), torch.tensor([[False, True], [False, False]]))
    assert (tally.finished, tally.mean_return, tally.mean_length) == (1, 10.0, 1.0)
    tally.count(torch.tensor([[3.0, 30.0]]), torch.tensor([[True, True]]))
    # Episodes: 10 in 1 step; 1+2+3 in 3; 20+30 in 2.
    assert tally.finished == 2
    assert tally.mean_return == pytest.approx((10 + 6 + 50) / 3)
    assert tally.mean_length == pytest.approx((1 + 3 + 2) / 3)


def test_only_the_most_recent_episodes_count() -> None:
    tally = EpisodeTally(1, CPU)
    rewards = torch.arange(RECENT + 50).float()[:, None]
    tally.count(rewards, torch.ones_like(rewards).bool())
    assert tally.finished == RECENT + 50
    assert tally.mean_return == pytest.approx(rewards[50:].mean().item())


def test_running_episodes_survive_a_round_trip() -> None:
    first, second = EpisodeTally(2, CPU), EpisodeTally(2, CPU)
    none, both = torch.zeros(1, 2).bool(), torch.ones(1, 2).bool()
    first.count(torch.tensor([[1.5, 2.5]]), none)
    state = first.state_dict()
    assert state["episode_return_N"].dtype == torch.float64
    assert state["episode_length_N"].dtype == torch.int64
    second.load_state_dict(state)
    first.count(torch.ones(1, 2), both)
    second.count(torch.ones(1, 2), both)
    assert first.mean_return == second.mean_return == 3.0
    assert second.mean_length == 2.0


@pytest.mark.parametrize("chance", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_tell_what_one_with_all_environments_does(processes: int, chance: float) -> None:
    steps, share = 200, 4
    reward, ended = torch.randn(steps, processes * share), torch.rand(steps, processes * share) < chance
    alone = EpisodeTally(processes * share, CPU)
    alone.count(reward, ended)
    shares = list(zip(reward.chunk(processes, 1), ended.chunk(processes, 1), strict=True))
    worlds = [Listening(rank, processes) for rank in range(processes)]
    for world, (own, ends) in zip(worlds, shares, strict=True):
        EpisodeTally(share, CPU, world).count(own, ends)
    for rank, (own, ends) in enumerate(shares):
        tally = EpisodeTally(share, CPU, Telling(rank, [world.shared for world in worlds]))
        tally.count(own, ends)
        assert (tally.recent, tally.finished) == (alone.recent, alone.finished)
        assert torch.equal(
            tally.state_dict()["episode_return_N"],
            alone.state_dict()["episode_return_N"].chunk(processes)[rank],
        )


@pytest.mark.parametrize("chance", [0.01, 1.0], ids=["few end", "all end"])
@pytest.mark.parametrize("processes", [1, 2, 8])
def test_counting_takes_16_bytes_a_step_however_many_processes_and_ends(
    processes: int, chance: float
) -> None:
    steps, envs = 256, 512
    reward, ended = torch.randn(steps, envs), torch.rand(steps, envs) < chance
    tally = EpisodeTally(envs, CPU, Listening(0, processes) if processes > 1 else None)
    with LiveBytes(reward, ended) as memory:
        tally.count(reward, ended)
    row, told = 8 * envs, 4 * 8 * RECENT
    assert memory.peak <= 16 * steps * envs + 5 * row + (2 * processes + 2) * told
