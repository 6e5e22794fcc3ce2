"""The benchmarks' own pieces: one world, one network, a loop that learns, products counted as by hand."""

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from app.network.config import PPOConfig
from app.network.shape import NetworkShape
from benchmarks.cleanrl_loop import Agent, CleanRLLoop
from benchmarks.learning import Noted
from benchmarks.products import ProductCounter
from benchmarks.sb3_ppo import MarketVecEnv, make_ppo, time_updates
from benchmarks.throughput import direct_flops, spread
from benchmarks.throughput_child import Case, measure
from benchmarks.trainer_profile import profile
from benchmarks.worlds import GymnasiumTensorEnvs, MarketTensorEnvs, make_env, make_market
from worker.ppo.network import NativeActorCritic
from worker.ppo.trainer import NativePPOTrainer

LOOKBACK, ENVS, EPISODE = 6, 5, 12
MARKET = make_market(700, lookback=LOOKBACK)
OBS_DIM = LOOKBACK * 53
CONFIG = PPOConfig(
    hidden_dims=(16, 8),
    total_timesteps=3 * ENVS * 8,
    num_envs=ENVS,
    num_steps=8,
    num_minibatches=2,
    update_epochs=2,
)


def small_env() -> Any:
    return make_env(MARKET, ENVS, EPISODE)


def test_equal_actions_give_everyone_equal_observations_rewards_and_ends() -> None:
    ours, tensors, arrays = small_env(), MarketTensorEnvs(small_env()), MarketVecEnv(small_env())
    arrays.seed(7)
    first = ours.materialise(ours.reset(seed=7))
    assert torch.equal(tensors.reset(7), first)
    assert np.array_equal(arrays.reset(), first.numpy())
    ends = 0
    for actions in torch.randint(3, (3 * EPISODE, ENVS), generator=torch.Generator().manual_seed(1)):
        step = ours.step(actions)
        obs = ours.materialise(step.parts)
        ended = step.terminated_N | step.truncated_N
        for seen, reward, done in (tensors.step(actions), arrays.step(actions.numpy())[:3]):
            assert np.array_equal(seen, obs)
            assert np.array_equal(reward, step.reward_N)
            assert np.array_equal(done, ended)
        ends += int(ended.sum())
    assert ends >= 2 * ENVS


def test_stable_baselines3_is_told_the_last_observation_of_a_truncated_episode() -> None:
    ours, arrays = small_env(), MarketVecEnv(small_env())
    arrays.seed(7)
    arrays.reset()
    ours.reset(seed=7)
    found = 0
    for _ in range(EPISODE):
        step = ours.step(torch.zeros(ENVS, dtype=torch.int64))
        infos = arrays.step(np.zeros(ENVS, dtype=np.int64))[3]
        final = ours.materialise(step.final_parts).numpy()
        for n in step.truncated_N.nonzero().squeeze(-1).tolist():
            assert infos[n]["TimeLimit.truncated"]
            assert np.array_equal(infos[n]["terminal_observation"], final[n])
            found += 1
    assert found == ENVS


def test_episodes_are_of_different_ages_from_the_start() -> None:
    env = make_env(MARKET, 4, episode_length=12)
    env.reset(seed=1)
    assert env.state_dict()["steps"].tolist() == [0, 3, 6, 9]


@pytest.mark.parametrize("shared", [True, False])
def test_all_three_train_the_same_network_layer_for_layer(shared: bool) -> None:
    config = replace(CONFIG, shared_trunk=shared)
    shape = NetworkShape(OBS_DIM, config.hidden_dims, 3, "discrete", shared_trunk=shared)
    model = make_ppo(MarketVecEnv(small_env()), config)
    networks = (NativeActorCritic(shape), Agent(OBS_DIM, 3, config), model.policy)
    sizes = [sorted(tuple(p.shape) for p in network.parameters()) for network in networks]
    assert sizes[0] == sizes[1] == sizes[2]
    assert sum(p.numel() for p in networks[0].parameters()) == shape.parameters


def test_the_cleanrl_style_loop_learns_cartpole() -> None:
    episodes: list[tuple[float, int]] = []
    config = PPOConfig(
        hidden_dims=(64,), shared_trunk=False, total_timesteps=12_288, num_envs=8, learning_rate=2.5e-3
    )
    envs = GymnasiumTensorEnvs(lambda: Noted(gymnasium.make("CartPole-v1"), episodes), config.num_envs)
    loop = CleanRLLoop(envs, config)
    for _ in range(config.num_updates):
        loop.update()
    returns = [total for total, _ in episodes]
    assert np.mean(returns[:50]) < 40
    assert np.mean(returns[-20:]) > 80


def test_the_lean_loop_learns_from_the_same_losses() -> None:
    agents = []
    for lean in (False, True):  # one after the other: both draw from torch's global generator
        loop = CleanRLLoop(MarketTensorEnvs(small_env()), replace(CONFIG, num_minibatches=1), lean=lean)
        loop.update()
        agents.append(loop.agent)
    # One minibatch: the order of samples is all that differs, and it does not matter.
    for a, b in zip(*(agent.parameters() for agent in agents), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_stable_baselines3_is_timed_update_by_update() -> None:
    model = make_ppo(MarketVecEnv(small_env()), CONFIG)
    seconds = time_updates(model, CONFIG, short=1, updates=2)
    assert len(seconds) == 2
    assert min(seconds) > 0
    assert model._n_updates == 1 + 2 * CONFIG.update_epochs


def test_products_are_counted_as_by_hand() -> None:
    a, b, c = torch.ones(3, 5), torch.ones(5, 7), torch.ones(3, 7)
    with ProductCounter() as counter:
        torch.mm(a, b, out=c)
        c.addmm_(a, b)
        torch.bmm(a[None], b[None])
        torch.addmm(c, a, b)
    assert counter.flops == 4 * 2 * 3 * 5 * 7


def test_direct_products_of_an_update_are_the_textbooks() -> None:
    trainer = NativePPOTrainer(small_env(), replace(CONFIG, first_layer="direct"))
    with ProductCounter() as counter:
        next(trainer.train())
    weights = OBS_DIM * 16 + 16 * 8 + 2 * 8 * 64 + 64 * 3 + 64
    batch = ENVS * 8
    acted = 2 * weights * (batch + ENVS)
    # The last values need no policy; those of truncated episodes are computed once more.
    unneeded = 2 * (8 * 64 + 64 * 3) * ENVS
    learned = (6 * weights - 2 * OBS_DIM * 16) * batch * CONFIG.update_epochs
    again = counter.flops - (acted - unneeded + learned)
    assert 0 <= again <= 2 * weights * 2 * ENVS


def test_direct_flops_are_those_of_the_brief() -> None:
    # 155 GFLOP/s over 5,835 env-steps/s at 150 GFLOP/s: 25.7 MFLOP a step of Tiny.
    assert direct_flops((256, 128, 64), 64, 128) / 8_192 == pytest.approx(150e9 / 5_835, rel=0.01)


@pytest.mark.parametrize("who", ["ours", "sb3", "cleanrl"])
def test_a_measurement_answers_for_everyone(who: str) -> None:
    case = Case(who, "cartpole", (8,), bars=0, envs=4, steps=32, updates=1, learning_rate=1e-3)
    answer = measure(case)
    assert answer["steps_per_second"] > 0
    assert answer["peak_bytes"] > 50e6
    assert answer["episode_return"] > 5
    assert answer["parameters"] == 2 * (4 * 8 + 8 + 8 * 64 + 64) + (64 * 2 + 2) + (64 + 1)


def test_ratios_are_taken_within_rounds() -> None:
    assert spread([10.0, 30.0, 20.0], [5.0, 10.0, 20.0]) == "2.00 (1.00 to 3.00)"


def test_the_profiles_parts_add_up_to_the_update() -> None:
    trainer = NativePPOTrainer(small_env(), replace(CONFIG, total_timesteps=10**6))
    timed, counted = profile(trainer, updates=1)
    parts = {key.split("|")[1] for key in timed.seconds}
    assert {"environment", "first layer, backward", "heads, backward", "trunk, backward", "Adam"} <= parts
    assert timed.seconds.keys() == counted.seconds.keys()
    weights = OBS_DIM * 16
    batch = ENVS * 8
    first = counted.flops["learning|first layer, backward"]
    if trainer.first_layer is not None and trainer.first_layer.minibatch.method == "direct":
        assert first == 2 * weights * batch * CONFIG.update_epochs
    assert counted.flops["learning|heads, backward"] == 4 * batch * CONFIG.update_epochs * (
        2 * 8 * 64 + 64 * 4
    )
