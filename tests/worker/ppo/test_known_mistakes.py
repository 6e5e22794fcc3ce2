"""Mistakes that other trainers have made, each by a case in which it gives another number.

One environment whose observation is a number, and a critic that returns that number: values are what one sees.
"""

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from worker.ppo.collect import Collector
from worker.ppo.config import PPOConfig
from worker.ppo.env import EnvStep
from worker.ppo.network import SampledActions
from worker.ppo.observer import MaterialisingObserver
from worker.ppo.precision import Arithmetic
from worker.ppo.rollout import RolloutBuffer

GAMMA = 0.5


class Scripted(NamedTuple):
    """What one step shows, pays and ends with."""

    seen: float
    reward: float
    end: str = ""
    final: float = 0.0


class Collected(NamedTuple):
    """What a rollout gave; the buffer itself is used again by the next one."""

    advantages: list[float]
    returns: list[float]


class ScriptedEnv:
    """Plays the steps; the observation after the last one is `last`."""

    num_envs, obs_dim, action_dim, action_kind = 1, 1, 2, "discrete"
    device = torch.device("cpu")

    def __init__(self, steps: list[Scripted], last: float) -> None:
        self.steps = steps
        self.seen = [step.seen for step in steps] + [last]
        self.t = 0

    def observe(self) -> dict[str, Tensor]:
        return {"observation": torch.tensor([[float(self.seen[self.t])]])}

    def step(self, actions: Tensor) -> EnvStep:
        step = self.steps[self.t]
        self.t += 1
        final = {"observation": torch.tensor([[float(step.final)]])} if step.end else self.observe()
        flags = (torch.tensor([step.end == end]) for end in ("terminated", "truncated"))
        return EnvStep(self.observe(), torch.tensor([float(step.reward)]), *flags, final)

    def materialise(self, parts: dict[str, Tensor]) -> Tensor:
        return parts["observation"]


class ReadingCritic:
    """V(s) = s."""

    def act(self, obs: Tensor, generator: Any) -> SampledActions:
        zero = torch.zeros(len(obs))
        return SampledActions(zero.long(), zero, zero, obs[:, 0])

    def value(self, obs: Tensor) -> Tensor:
        return obs[:, 0]


def collect(steps: list[Scripted], last: float, *, gae_lambda: float, rollouts: int = 1) -> list[Collected]:
    env: Any = ScriptedEnv(steps, last)
    num_steps = len(steps) // rollouts
    config = PPOConfig(
        num_envs=1,
        num_steps=num_steps,
        num_minibatches=1,
        gamma=GAMMA,
        gae_lambda=gae_lambda,
        norm_reward=False,
    )
    critic: Any = ReadingCritic()
    observer = MaterialisingObserver(env, norm_obs=False)
    collector = Collector(env, critic, config, Arithmetic("fp32", env.device), observer)
    return [_copy(collector.collect(torch.Generator())) for _ in range(rollouts)]


def _copy(buffer: RolloutBuffer) -> Collected:
    return Collected(buffer.advantage_TN.squeeze(1).tolist(), buffer.return_TN.squeeze(1).tolist())


def test_the_next_observations_value_is_bootstrapped_not_the_present_ones() -> None:
    (rollout,) = collect([Scripted(1, 0), Scripted(2, 0), Scripted(4, 0)], 8, gae_lambda=0.0)
    # 0 + ½·V(s_{t+1}) - V(s_t). With V(s_t) in its place: -½, -1, -2.
    assert rollout.advantages == [0.0, 0.0, 0.0]


def test_the_rollouts_last_step_is_bootstrapped_with_what_follows_it() -> None:
    first, second = collect(
        [Scripted(1, 0), Scripted(2, 0), Scripted(4, 0), Scripted(8, 0)], 16, gae_lambda=0.0, rollouts=2
    )
    # Without the bootstrap the last step of each would have -2 and -8.
    assert first.advantages + second.advantages == [0.0, 0.0, 0.0, 0.0]


def test_the_done_mask_cuts_after_the_step_that_ended_not_after_its_neighbour() -> None:
    (rollout,) = collect(
        [Scripted(0, 1), Scripted(0, 10, "terminated", final=100), Scripted(0, 100), Scripted(0, 1000)],
        0,
        gae_lambda=1.0,
    )
    # Episode one: 1 + ½·10, 10. Episode two: 100 + ½·1000, 1000.
    # A mask one step early: 1, 10 + ½·600, …; one step late: 1 + ½·(10 + ½·100), ….
    assert rollout.advantages == [6.0, 10.0, 600.0, 1000.0]


def test_a_mask_at_the_border_of_two_rollouts_is_the_first_ones() -> None:
    first, second = collect(
        [Scripted(0, 1), Scripted(0, 2, "terminated", final=50), Scripted(30, 4), Scripted(0, 8)],
        0,
        gae_lambda=1.0,
        rollouts=2,
    )
    # The first step of the second rollout begins an episode, whose value 30 is nothing to the first rollout.
    assert first.advantages == [2.0, 2.0]
    assert second.advantages == [4 + 4 - 30, 8.0]


def test_a_truncated_episode_is_worth_its_final_observations_value() -> None:
    (rollout,) = collect([Scripted(0, 1, "truncated", final=20), Scripted(300, 1)], 0, gae_lambda=1.0)
    # 1 + ½·20. As a terminal: 1. By the next episode's first observation: 151.
    assert rollout.advantages == [11.0, 1 - 300]


def test_a_terminal_is_worth_nothing_beyond_its_reward() -> None:
    (rollout,) = collect([Scripted(0, 1, "terminated", final=20), Scripted(300, 1)], 0, gae_lambda=1.0)
    # As a truncation: 11.
    assert rollout.advantages[0] == 1.0


def test_returns_are_advantages_plus_the_rollouts_values() -> None:
    (rollout,) = collect([Scripted(1, 3), Scripted(2, 5)], 4, gae_lambda=1.0)
    # G_1 = 5 + ½·4 = 7; G_0 = 3 + ½·7 = 6.5, whatever the values were.
    assert rollout.returns == pytest.approx([6.5, 7.0])
