"""A collected rollout against the textbook, step by step in Python, for the mistakes that trainers make."""

from typing import Any

import pytest
import torch

from app.network.shape import NetworkShape
from worker.ppo.collect import Collector
from worker.ppo.config import PPOConfig
from worker.ppo.env import EnvStep
from worker.ppo.network import NativeActorCritic
from worker.ppo.observer import MaterialisingObserver
from worker.ppo.precision import Arithmetic
from worker.ppo.rollout import RolloutBuffer

GAMMA, LAMBDA = 0.9, 0.8


def collector_for(env: Any, **changes: Any) -> tuple[Collector, NativeActorCritic]:
    config = PPOConfig(num_envs=env.num_envs, num_steps=25, gamma=GAMMA, gae_lambda=LAMBDA, **changes)
    shape = NetworkShape(env.obs_dim, (16,), env.action_dim, env.action_kind)
    network = NativeActorCritic(shape, generator=torch.Generator().manual_seed(0))
    observer = MaterialisingObserver(env, norm_obs=config.norm_obs)
    return Collector(env, network, config, Arithmetic("fp32", env.device), observer), network


def replay(env: Any, network: NativeActorCritic, buffer: RolloutBuffer) -> list[dict[str, torch.Tensor]]:
    """Take the same actions again and note what the textbook needs: V of each observation, before and after."""
    steps = []
    for t in range(buffer.num_steps):
        value = network.value(env.materialise(env.observe()))
        step = env.step(buffer.actions[t])
        after = network.value(env.materialise(step.final_parts))
        steps.append(
            {
                "reward": step.reward_N,
                "value": value,
                "after": after,
                "terminated": step.terminated_N,
                "ended": step.terminated_N | step.truncated_N,
            }
        )
    return [{name: column.detach().double() for name, column in step.items()} for step in steps]


@pytest.mark.parametrize("kind", ["discrete", "gaussian"])
def test_advantages_are_the_textbooks(window_env: Any, kind: str) -> None:
    env, twin = window_env(5, kind=kind), window_env(5, kind=kind)
    env.reset(seed=3)
    twin.reset(seed=3)
    collector, network = collector_for(env)
    buffer = collector.collect(torch.Generator().manual_seed(4))
    steps = replay(twin, network, buffer)
    assert buffer.terminated_TN.any()
    assert (buffer.truncated_TN & ~buffer.terminated_TN).any()
    for n in range(5):
        advantage = 0.0
        for t in reversed(range(25)):
            step = {name: column[n].item() for name, column in steps[t].items()}
            target = step["reward"] + (0 if step["terminated"] else GAMMA * step["after"])
            carried = 0 if step["ended"] else GAMMA * LAMBDA * advantage
            advantage = target - step["value"] + carried
            assert buffer.advantage_TN[t, n].item() == pytest.approx(advantage, abs=1e-5)


def test_what_is_stored_is_what_was_seen_before_the_step(window_env: Any) -> None:
    env, twin = window_env(3), window_env(3)
    first = env.reset(seed=1)
    twin.reset(seed=1)
    collector, network = collector_for(env)
    buffer = collector.collect(torch.Generator().manual_seed(4))
    assert torch.equal(buffer.parts["index"][0], first["index"])
    for t in range(25):
        obs = twin.materialise(twin.observe())
        evaluated = network.evaluate(obs, buffer.actions[t])
        assert torch.allclose(buffer.log_prob_TN[t], evaluated.log_prob_B, atol=1e-6)
        assert torch.allclose(buffer.value_TN[t], evaluated.value_B, atol=1e-6)
        step = twin.step(buffer.actions[t])
        assert torch.equal(buffer.reward_TN[t], step.reward_N)


def test_a_second_rollout_starts_where_the_first_ended(window_env: Any) -> None:
    env = window_env(3)
    env.reset(seed=1)
    collector, _ = collector_for(env)
    generator = torch.Generator().manual_seed(4)
    collector.collect(generator)
    expected = env.observe()["index"].clone()
    assert torch.equal(collector.collect(generator).parts["index"][0], expected)


def test_reward_scaling_leaves_episode_statistics_raw(window_env: Any) -> None:
    tallies = []
    for norm in (False, True):
        env = window_env(4)
        env.reset(seed=2)
        collector, _ = collector_for(env, norm_reward=norm)
        collector.collect(torch.Generator().manual_seed(4))
        tallies.append((collector.episodes.finished, collector.episodes.mean_return))
    assert tallies[0] == tallies[1]
    assert tallies[0][0] > 0


def test_many_truncations_are_valued_in_minibatches(window_env: Any) -> None:
    # Every step truncates: 75 final observations, in chunks of the minibatch size.
    chunks = {}
    for parts in (1, 25):
        env = window_env(3, episode_length=1)
        env.reset(seed=2)
        collector, _ = collector_for(env, num_minibatches=parts)
        chunks[parts] = collector.collect(torch.Generator().manual_seed(4)).next_value_TN.clone()
    assert torch.allclose(chunks[1], chunks[25], atol=1e-6)
    assert chunks[1].abs().sum() > 0


def test_an_environment_whose_observation_never_changes_is_bootstrapped_too(window_env: Any) -> None:
    # The same dict as present and as final observation: the value of either is that of the other.
    env = window_env(3, whole=True, episode_length=1)
    env.reset(seed=2)
    parts = {"observation": torch.ones(3, env.obs_dim)}
    none, both = torch.zeros(3, dtype=torch.bool), torch.ones(3, dtype=torch.bool)
    env.observe = lambda: parts
    env.step = lambda actions: EnvStep(parts, torch.ones(3), none, both, parts)
    collector, network = collector_for(env)
    buffer = collector.collect(torch.Generator().manual_seed(4))
    expected = network.value(parts["observation"]).detach()
    assert torch.allclose(buffer.next_value_TN, expected.expand(25, 3))
