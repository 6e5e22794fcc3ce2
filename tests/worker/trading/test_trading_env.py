"""The batched environment against the scalar reference, and its promises one by one."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from app.errors import InvalidConfig, InvalidDataset, InvalidInput
from app.market.account import trading_state_specs
from app.market.features import FeatureSchema, compute_features
from app.market.splits import Span, decision_ranges
from app.market.trading import RETAIL_COSTS, ActionSpec, Costs, EnvSpec
from tests.market.making import cut, make_bars
from worker.ppo.env import WindowedEnv
from worker.ppo.sliding import SlidingWindows
from worker.ppo.window_product import gather_windows
from worker.trading.env import TradingEnv
from worker.trading.market import MarketTensors, build_market

LOOKBACK = 5
SMALL = FeatureSchema(names=("ret_1", "rsi_14", "vol_z_50"), lookback=LOOKBACK)
BARS = make_bars(1_300, gaps=(640,), seed=4)
WILD = make_bars(1_300, gaps=(640,), seed=5, volatility=0.2)
ALL = Span(0, 1_300)
FREE = Costs(0, 0, 0, 0)


def make_env(market: MarketTensors | None = None, spec: EnvSpec | None = None, **more: Any) -> TradingEnv:
    settings_ = {"num_envs": 4, "seed": 1, **more}
    return TradingEnv(
        market or build_market(BARS, SMALL),
        ALL,
        spec or EnvSpec(RETAIL_COSTS, episode_length=50),
        **settings_,
    )


def random_actions(env: TradingEnv, count: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    if env.action_kind == "gaussian":
        return [torch.randn((env.num_envs, 1), generator=generator) for _ in range(count)]
    return [torch.randint(env.action_dim, (env.num_envs,), generator=generator) for _ in range(count)]


MARKETS = {"calm": build_market(BARS, SMALL), "wild": build_market(WILD, SMALL)}


def test_ruin_terminates_and_the_next_episode_is_fresh() -> None:
    env = make_env(MARKETS["wild"], EnvSpec(FREE, episode_length=10_000, ruin_equity=0.9), num_envs=64)
    step = env.step(torch.zeros(64, dtype=torch.int64))
    ruined = step.terminated_N
    assert ruined.any()
    assert not ruined.all()
    assert not (step.truncated_N & ruined).any()
    state = env.state_dict()
    assert (state["equity"][ruined] == 1).all()
    assert (state["position"][ruined] == 0).all()
    assert (step.reward_N[ruined] <= math.log(0.9)).all()


def test_a_short_position_that_loses_more_than_all_is_floored() -> None:
    crash = replace(BARS, open=np.where(np.arange(1_300) >= 700, BARS.open * 50, BARS.open))
    env = TradingEnv(build_market(crash, SMALL), Span(640, 1_300), EnvSpec(FREE), num_envs=1)
    state = env.state_dict() | {"t": torch.tensor([698])}
    env.load_state_dict(state)
    step = env.step(torch.tensor([0]))
    assert step.terminated_N.all()
    assert float(env.log_return_N) == pytest.approx(math.log(1e-6))


def test_sum_of_rewards_is_the_logarithm_of_final_equity() -> None:
    env = make_env(spec=EnvSpec(RETAIL_COSTS, episode_length=10_000, ruin_equity=1e-6))
    total = torch.zeros(4, dtype=torch.float64)
    alive = torch.ones(4, dtype=torch.bool)
    for actions in random_actions(env, 30):
        before = env.state_dict()["equity"]
        step = env.step(actions)
        total += env.log_return_N.where(alive, 0.0)
        alive &= ~(step.terminated_N | step.truncated_N)
        final = before * env.log_return_N.exp()
        np.testing.assert_allclose(total[alive], final.log()[alive], atol=1e-12)
    assert alive.any()


def test_different_actions_give_different_rewards() -> None:
    rewards = []
    for action in range(3):
        env = make_env(num_envs=16)
        rewards.append(env.step(torch.full((16,), action)).reward_N)
    short, flat, long = rewards
    assert (flat == 0).all()
    assert (long != short).all()
    assert ((long > 0) | (short > 0)).any()


def test_costs_are_what_the_user_stated() -> None:
    costs = Costs(fee_bps=10, half_spread_bps=5, slippage=0, borrow_bps_per_year=0)
    env = make_env(spec=EnvSpec(costs))
    env.step(torch.full((4,), 2))
    assert torch.allclose(env.cost_N, torch.tensor(0.0015, dtype=torch.float64))
    env.step(torch.full((4,), 0))
    assert torch.allclose(env.cost_N, torch.tensor(0.0030, dtype=torch.float64))
    env.step(torch.full((4,), 0))
    assert (env.cost_N == 0).all()


def test_borrowing_is_paid_for_short_positions_only() -> None:
    env = make_env(spec=EnvSpec(Costs(0, 0, 0, 8766)))  # 24 x 365.25 = 8766 hourly bars a year
    env.step(torch.full((4,), 0))
    assert torch.allclose(env.cost_N, torch.tensor(1e-4, dtype=torch.float64))
    env.step(torch.full((4,), 2))
    assert (env.cost_N == 0).all()


def test_observation_shows_the_market_up_to_its_bar_then_the_account() -> None:
    env = make_env()
    step = env.step(torch.full((4,), 2))
    table = np.nan_to_num(compute_features(BARS, SMALL))
    observed = env.materialise(step.parts)
    assert observed.shape == (4, env.obs_dim)
    assert observed.dtype == torch.float32
    for i, t in enumerate(step.parts["t"].tolist()):
        np.testing.assert_array_equal(observed[i, : LOOKBACK * 3], table[t - LOOKBACK + 1 : t + 1].ravel())
        np.testing.assert_array_equal(observed[i, LOOKBACK * 3 :], step.parts["account"][i].ravel())
    assert (step.parts["account"][:, -1, 0] == 1).all()


def test_nothing_seen_or_earned_depends_on_bars_after_the_reward() -> None:
    """Observation at t+1 knows bars up to t+1; the reward needs open[t+2] and nothing of the future."""
    row = 900
    late = np.arange(1_300) > row + 1
    wild = {
        n: np.where(late, getattr(BARS, n) * 3, getattr(BARS, n)) for n in ("open", "high", "low", "close")
    }
    seen, earned = [], []
    for bars in (BARS, replace(BARS, **wild)):
        env = make_env(build_market(bars, SMALL), num_envs=1)
        env.load_state_dict(env.state_dict() | {"t": torch.tensor([row])})
        step = env.step(torch.tensor([2]))
        seen.append(env.materialise(step.final_parts))
        earned.append(float(env.log_return_N))
    assert torch.equal(seen[0], seen[1])  # so the overnight move into open[t+2] is not shown
    assert earned[1] - earned[0] == pytest.approx(math.log(3), abs=0.01)
    later = replace(
        BARS, **{n: np.where(np.arange(1_300) > row + 2, v, getattr(BARS, n)) for n, v in wild.items()}
    )
    env = make_env(build_market(later, SMALL), num_envs=1)
    env.load_state_dict(env.state_dict() | {"t": torch.tensor([row])})
    env.step(torch.tensor([2]))
    assert float(env.log_return_N) == earned[0]


def test_episodes_never_leave_their_segment_or_span() -> None:
    span = Span(560, 1_200)
    env = TradingEnv(MARKETS["calm"], span, EnvSpec(FREE, episode_length=30), num_envs=32, seed=3)
    allowed = {r for a, b in decision_ranges(BARS.segments, span, LOOKBACK) for r in range(a, b)}
    visited = set()
    for actions in random_actions(env, 300):
        rows = set(env.observe()["t"].tolist())
        assert rows <= allowed
        visited |= rows
        env.step(actions)
    assert visited == allowed


def test_an_episode_is_truncated_after_its_length() -> None:
    env = make_env(spec=EnvSpec(FREE, episode_length=7), num_envs=8)
    ends = [env.step(actions).truncated_N for actions in random_actions(env, 14)]
    assert torch.stack(ends).sum(dim=0).tolist() == [2] * 8
    assert ends[6].all()


def test_equal_seeds_give_equal_episodes_and_others_do_not() -> None:
    runs = []
    for seed in (7, 7, 8):
        env = make_env(num_envs=16, spec=EnvSpec(RETAIL_COSTS, episode_length=5))
        env.reset(seed)
        runs.append([env.step(actions).parts["t"].tolist() for actions in random_actions(env, 12)])
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("reward", ["log_return", "differential_sharpe"])
@pytest.mark.parametrize("kind", ["discrete", "gaussian"])
def test_continuing_from_a_state_is_bit_identical(reward: str, kind: str) -> None:
    spec = EnvSpec(RETAIL_COSTS, actions=ActionSpec(kind=kind), reward=reward, episode_length=9)
    env = make_env(spec=spec, num_envs=6)
    for actions in random_actions(env, 13):
        env.step(actions)
    saved = env.state_dict()
    first = [env.step(actions) for actions in random_actions(env, 25, seed=1)]
    other = make_env(spec=spec, num_envs=6, seed=99)
    other.load_state_dict(saved)
    for mine, actions in zip(first, random_actions(env, 25, seed=1), strict=True):
        theirs = other.step(actions)
        assert torch.equal(mine.reward_N, theirs.reward_N)
        for parts in ("parts", "final_parts"):
            for name, value in getattr(mine, parts).items():
                assert torch.equal(value, getattr(theirs, parts)[name])
    for name, value in env.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])


def test_saved_state_does_not_change_afterwards() -> None:
    env = make_env()
    saved = env.state_dict()
    copies = {name: value.clone() for name, value in saved.items()}
    for actions in random_actions(env, 5):
        env.step(actions)
    assert all(torch.equal(saved[name], copies[name]) for name in saved)


@pytest.mark.parametrize("account", [(), ("position", "drawdown"), FeatureSchema().account])
def test_predicted_state_is_the_real_one(account: tuple[str, ...]) -> None:
    schema = replace(SMALL, account=account)
    env = make_env(build_market(BARS, schema), num_envs=3)
    real = {n: (tuple(v.shape), str(v.dtype).removeprefix("torch.")) for n, v in env.state_dict().items()}
    assert list(real.items()) == list(trading_state_specs(3, LOOKBACK, len(account)).items())
    assert env.materialise(env.observe()).shape == (3, schema.obs_dim)


def test_states_of_other_environments_are_refused() -> None:
    env = make_env()
    with pytest.raises(InvalidConfig, match="'t' is"):
        env.load_state_dict(make_env(num_envs=5).state_dict())
    state = env.state_dict()
    del state["equity"]
    with pytest.raises(InvalidConfig, match="equity"):
        env.load_state_dict(state)


def test_differential_sharpe_follows_its_recursion() -> None:
    spec = EnvSpec(
        RETAIL_COSTS, reward="differential_sharpe", sharpe_eta=0.05, episode_length=10_000, ruin_equity=1e-6
    )
    env = make_env(spec=spec, num_envs=1)
    a = b = 0.0
    for actions in random_actions(env, 30):
        step = env.step(actions)
        r = float(env.log_return_N)
        variance = b - a * a
        expected = (b * (r - a) - 0.5 * a * (r * r - b)) / variance**1.5 if variance > 1e-18 else 0.0
        assert float(step.reward_N) == pytest.approx(expected, rel=1e-5, abs=1e-6)
        a, b = a + 0.05 * (r - a), b + 0.05 * (r * r - b)
        if step.truncated_N:
            a = b = 0.0


def test_default_schema_gives_5300_columns_once_on_the_device() -> None:
    bars = make_bars(800)
    market = build_market(bars, FeatureSchema())
    env = TradingEnv(market, Span(0, 800), EnvSpec(RETAIL_COSTS), num_envs=2)
    assert env.obs_dim == 5300
    assert env.materialise(env.observe()).shape == (2, 5300)
    assert market.features_TF.shape == (800, 48)
    assert market.features_TF.dtype == torch.float32
    flattened = {name: value.repeat(3, *[1] * (value.ndim - 1)) for name, value in env.observe().items()}
    assert env.materialise(flattened).shape == (6, 5300)


def test_environments_that_cannot_be_are_refused() -> None:
    market = MARKETS["calm"]
    with pytest.raises(InvalidConfig):
        TradingEnv(market, ALL, EnvSpec(FREE), num_envs=0)
    with pytest.raises(InvalidDataset, match="E_TOO_SHORT"):
        TradingEnv(market, Span(0, 100), EnvSpec(FREE), num_envs=1)
    with pytest.raises(InvalidInput):
        build_market(cut(BARS, 0, 3), SMALL)


def test_the_trainer_s_windows_and_rest_are_the_observation() -> None:
    env = make_env()
    assert isinstance(env, WindowedEnv)
    stored = SlidingWindows(env.observe()["account"], 120)
    stored.begin(env.observe()["account"])
    seen, final = [], []
    for t, actions in enumerate(random_actions(env, 120)):
        parts = env.observe()
        seen.append(parts["account"])
        step = env.step(actions)
        for any_parts in (parts, step.final_parts):
            windows = gather_windows(env.windows.series_TF, env.windows.lookback, any_parts["t"])
            whole = torch.cat([windows, env.rest(any_parts)], dim=1)
            assert torch.equal(whole, env.materialise(any_parts))
            assert all(any(a <= row < b for a, b in env.windows.ranges) for row in any_parts["t"].tolist())
        final.append(step.final_parts["account"])
        stored.append(t, step.final_parts["account"], step.terminated_N | step.truncated_N)
    assert torch.equal(stored.windows(torch.arange(480)), torch.cat(seen))
    assert torch.equal(stored.final_windows(torch.arange(480)), torch.cat(final))
