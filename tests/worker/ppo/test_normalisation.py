import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.worker.live_bytes import LiveBytes
from tests.worker.ppo.other_processes import Listening, Telling
from worker.ppo.normalisation import CLIP, ObservationNormalizer, RewardScaler, RunningMoments

CPU = torch.device("cpu")


@given(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=9), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_moments_merged_by_batches_are_those_of_all_samples(batches: list[list[float]]) -> None:
    moments = RunningMoments((), CPU)
    for batch in batches:
        moments.update(torch.tensor(batch))
    everything = np.concatenate([np.float32(batch) for batch in batches]).astype(float)
    assert moments.count.item() == everything.size
    assert moments.mean.item() == pytest.approx(everything.mean(), abs=1e-6)
    assert moments.var.item() == pytest.approx(everything.var(), rel=1e-9, abs=1e-6)


def test_moments_do_not_cancel_far_from_zero() -> None:
    # E[x²] - E[x]² would lose all digits here.
    moments = RunningMoments((), CPU)
    for start in (0, 2):
        moments.update(torch.tensor([1e9 + start, 1e9 + start + 1], dtype=torch.float64))
    assert moments.var.item() == pytest.approx(1.25)


def test_observations_are_plain_until_the_first_commit_then_normalised() -> None:
    normalizer = ObservationNormalizer(2, CPU)
    obs = torch.tensor([[1.0, 10.0], [3.0, 30.0]])
    normalizer.gather(obs)
    assert torch.allclose(normalizer(obs), obs.clamp(max=CLIP))
    normalizer.commit()
    assert torch.allclose(normalizer(obs), torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))


def test_statistics_stand_still_until_commit() -> None:
    normalizer = ObservationNormalizer(1, CPU)
    normalizer.gather(torch.tensor([[0.0], [2.0]]))
    normalizer.commit()
    before = normalizer(torch.tensor([[5.0]]))
    normalizer.gather(torch.tensor([[100.0]]))
    assert torch.equal(normalizer(torch.tensor([[5.0]])), before)
    normalizer.commit()
    assert not torch.equal(normalizer(torch.tensor([[5.0]])), before)


def test_a_constant_observation_and_an_outlier_stay_bounded() -> None:
    normalizer = ObservationNormalizer(1, CPU)
    normalizer.gather(torch.full((8, 1), 3.0))
    normalizer.commit()
    assert normalizer(torch.tensor([[3.0], [4.0], [-1e9]])).squeeze(1).tolist() == [0.0, CLIP, -CLIP]


def test_normalising_leaves_the_input_alone() -> None:
    obs = torch.full((2, 1), 50.0)
    ObservationNormalizer(1, CPU)(obs)
    assert obs.tolist() == [[50.0], [50.0]]


def test_observation_statistics_survive_a_round_trip() -> None:
    first, second = ObservationNormalizer(3, CPU), ObservationNormalizer(3, CPU)
    first.gather(torch.randn(5, 3))
    first.commit()
    second.load_state_dict(first.state_dict())
    obs = torch.randn(4, 3)
    assert torch.equal(first(obs), second(obs))
    assert {k: (v.dtype, tuple(v.shape)) for k, v in first.state_dict().items()} == {
        "obs_mean": (torch.float64, (3,)),
        "obs_var": (torch.float64, (3,)),
        "obs_count": (torch.float64, ()),
    }


def scalar_returns(rewards: list[float], ended: list[bool], gamma: float) -> list[float]:
    returns, running = [], 0.0
    for reward, end in zip(rewards, ended, strict=True):
        running = gamma * running + reward
        returns.append(running)
        running = 0.0 if end else running
    return returns


def test_rewards_are_divided_by_the_deviation_of_the_discounted_return() -> None:
    rewards, ended = [1.0, 2.0, 4.0, 8.0], [False, True, False, False]
    scaled = RewardScaler(1, 0.5, CPU).scale(torch.tensor(rewards)[:, None], torch.tensor(ended)[:, None])
    deviation = np.std(scalar_returns(rewards, ended, 0.5))
    assert scaled.squeeze(1).tolist() == pytest.approx([r / deviation for r in rewards], rel=1e-6)


def test_the_return_does_not_leak_across_a_reset() -> None:
    # One huge last reward: were it carried on, the next episode's returns would be huge too.
    scaler = RewardScaler(1, 0.9, CPU)
    scaler.scale(torch.tensor([[0.0], [1000.0]]), torch.tensor([[False], [True]]))
    assert scaler.state_dict()["return_N"].tolist() == [0.0]
    scaler.scale(torch.tensor([[1.0]]), torch.tensor([[False]]))
    assert scaler.state_dict()["return_N"].tolist() == [1.0]


def test_the_return_runs_on_from_rollout_to_rollout() -> None:
    rewards, ended = torch.randn(10, 2), torch.rand(10, 2) < 0.2
    whole, halves = RewardScaler(2, 0.9, CPU), RewardScaler(2, 0.9, CPU)
    whole.scale(rewards, ended)
    halves.scale(rewards[:4], ended[:4])
    halves.scale(rewards[4:], ended[4:])
    for name, value in whole.state_dict().items():
        assert torch.allclose(value, halves.state_dict()[name]), name


def test_rewards_keep_their_sign_type_and_bounds() -> None:
    scaler = RewardScaler(1, 0.9, CPU)
    scaled = scaler.scale(torch.tensor([[0.0], [1e-3], [-1e-3], [0.0]]), torch.zeros(4, 1).bool())
    assert scaled.dtype == torch.float32
    assert scaled[0].item() == 0
    assert scaled[1].item() > 0 > scaled[2].item()
    flat = RewardScaler(1, 0.0, CPU).scale(torch.ones(3, 1), torch.zeros(3, 1).bool())
    assert flat.squeeze(1).tolist() == [CLIP] * 3
    assert math.isfinite(flat.sum().item())


@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_scale_rewards_by_what_all_have_seen(processes: int) -> None:
    rewards, ended = torch.randn(50, 4 * processes), torch.rand(50, 4 * processes) < 0.2
    alone = RewardScaler(4 * processes, 0.9, CPU)
    expected = alone.scale(rewards, ended).chunk(processes, 1)
    shares = list(zip(rewards.chunk(processes, 1), ended.chunk(processes, 1), strict=True))
    worlds = [Listening(rank, processes) for rank in range(processes)]
    for world, share in zip(worlds, shares, strict=True):
        RewardScaler(4, 0.9, CPU, world).scale(*share)
    seen = []
    for rank, share in enumerate(shares):
        scaler = RewardScaler(4, 0.9, CPU, Telling(rank, [world.shared for world in worlds]))
        torch.testing.assert_close(scaler.scale(*share), expected[rank], rtol=1e-6, atol=0)
        seen.append(scaler.state_dict())
    for name in ("return_mean", "return_var", "return_count"):
        assert all(torch.equal(seen[0][name], other[name]) for other in seen)
        torch.testing.assert_close(seen[0][name], alone.state_dict()[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("processes", [1, 2, 8])
def test_scaling_takes_8_bytes_a_step_however_many_processes(processes: int) -> None:
    steps, envs = 256, 512
    rewards, ended = torch.randn(steps, envs), torch.rand(steps, envs) < 0.01
    scaler = RewardScaler(envs, 0.9, CPU, Listening(0, processes) if processes > 1 else None)
    with LiveBytes(rewards, ended) as memory:
        scaler.scale(rewards, ended)
    assert memory.peak <= 8 * steps * envs + 5 * 8 * envs
