"""GAE by hand, against a scalar reference in Python floats, and by identities that it must obey."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from worker.ppo.env import EnvStep
from worker.ppo.network import SampledActions
from worker.ppo.rollout import Discount, RolloutBuffer, estimate_advantages


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def flags(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.bool).unsqueeze(1)


def scalar_gae(steps: list[tuple[float, float, float, bool, bool]], gamma: float, lam: float) -> list[float]:
    """The definition, Σ (γλ)^k δ_{t+k} up to the episode's end; quadratic and slow on purpose."""
    advantages = []
    for start in range(len(steps)):
        total = 0.0
        for k, (reward, value, following, terminated, truncated) in enumerate(steps[start:]):
            delta = reward + (0 if terminated else gamma * following) - value
            total += (gamma * lam) ** k * delta
            if terminated or truncated:
                break
        advantages.append(total)
    return advantages


def test_by_hand_with_a_terminal_and_a_truncation_inside() -> None:
    # gamma = 1/2, lambda = 1/2. Steps: plain, terminal, plain, truncated (final value 8), plain; last value 4.
    advantage = estimate_advantages(
        reward_TN=column(1, 2, 3, 4, 5),
        value_TN=column(1, 1, 2, 2, 3),
        next_value_TN=column(1, 100, 2, 8, 4),
        terminated_TN=flags(0, 1, 0, 0, 0),
        truncated_TN=flags(0, 0, 0, 1, 0),
        discount=Discount(0.5, 0.5),
    )
    # deltas: 1+.5-1 = .5 | 2-1 = 1 (100 unseen) | 3+1-2 = 2 | 4+4-2 = 6 (bootstrapped) | 5+2-3 = 4
    # A4 = 4; A3 = 6 (cut); A2 = 2 + 6/4; A1 = 1 (cut); A0 = .5 + 1/4
    assert advantage.squeeze(1).tolist() == [0.75, 1.0, 3.5, 6.0, 4.0]


def test_termination_wins_where_an_episode_also_ran_out_of_time() -> None:
    advantage = estimate_advantages(column(1), column(0), column(50), flags(1), flags(1), Discount(0.9, 0.9))
    assert advantage.item() == 1.0


def test_a_broken_value_behind_a_terminal_does_not_leak() -> None:
    advantage = estimate_advantages(
        column(1), column(0), column(math.inf), flags(1), flags(0), Discount(0.9, 0.9)
    )
    assert advantage.item() == 1.0


value = st.floats(-10, 10)
a_step = st.tuples(value, value, value, st.booleans(), st.booleans())


@given(st.lists(a_step, min_size=1, max_size=15), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_matches_the_definition(
    steps: list[tuple[float, float, float, bool, bool]], gamma: float, lam: float
) -> None:
    reward, values, following, terminated, truncated = zip(*steps, strict=True)
    advantage = estimate_advantages(
        column(*reward),
        column(*values),
        column(*following),
        flags(*terminated),
        flags(*truncated),
        Discount(gamma, lam),
    )
    assert advantage.squeeze(1).tolist() == pytest.approx(scalar_gae(steps, gamma, lam), abs=1e-9)


def test_environments_do_not_touch_each_other() -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (20, 6)
    reward, values, following = (torch.randn(shape, generator=generator).double() for _ in range(3))
    terminated, truncated = (torch.rand(shape, generator=generator) < 0.2 for _ in range(2))
    together = estimate_advantages(reward, values, following, terminated, truncated, Discount(0.9, 0.8))
    for n in range(6):
        one = slice(n, n + 1)
        alone = estimate_advantages(
            reward[:, one],
            values[:, one],
            following[:, one],
            terminated[:, one],
            truncated[:, one],
            Discount(0.9, 0.8),
        )
        assert torch.equal(together[:, one], alone)


def lambda_case() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(12, 3, generator=generator).double()
    last = torch.randn(1, 3, generator=generator).double()
    none = torch.zeros(12, 3, dtype=torch.bool)
    return {
        "reward_TN": torch.randn(12, 3, generator=generator).double(),
        "value_TN": values,
        "next_value_TN": torch.cat([values[1:], last]),
        "terminated_TN": none,
        "truncated_TN": none,
    }


def test_lambda_0_is_the_one_step_error() -> None:
    case = lambda_case()
    expected = case["reward_TN"] + 0.9 * case["next_value_TN"] - case["value_TN"]
    assert torch.allclose(estimate_advantages(**case, discount=Discount(0.9, 0.0)), expected)


def test_lambda_1_is_the_discounted_return_minus_the_value() -> None:
    case = lambda_case()
    returns, following = [], case["next_value_TN"][-1]
    for t in reversed(range(12)):
        following = case["reward_TN"][t] + 0.9 * following
        returns.insert(0, following)
    expected = torch.stack(returns) - case["value_TN"]
    assert torch.allclose(estimate_advantages(**case, discount=Discount(0.9, 1.0)), expected)


def test_lambda_return_is_the_weighted_mean_of_n_step_returns() -> None:
    # Sutton & Barto 2018, eq. 12.3: (1-λ) Σ λ^(n-1) G_n, the last return taking the remaining weight.
    case, gamma, lam, horizon = lambda_case(), 0.9, 0.7, 12
    expected = torch.zeros(3, dtype=torch.float64)
    reward, following = case["reward_TN"], case["next_value_TN"]
    for n in range(1, horizon + 1):
        total = sum(gamma**k * reward[k] for k in range(n)) + gamma**n * following[n - 1]
        weight = lam ** (n - 1) * (1 - lam) if n < horizon else lam ** (n - 1)
        expected += weight * total
    advantage = estimate_advantages(**case, discount=Discount(gamma, lam))
    assert torch.allclose(advantage[0] + case["value_TN"][0], expected)


@pytest.mark.parametrize("lam", [0.0, 0.5, 0.95, 1.0])
def test_constant_reward_forever_is_worth_r_over_1_minus_gamma(lam: float) -> None:
    worth = torch.full((30, 2), 3 / (1 - 0.9), dtype=torch.float64)
    none = torch.zeros(30, 2, dtype=torch.bool)
    truncated = none.clone()
    truncated[10] = True  # a time limit does not change what the state is worth
    reward = torch.full_like(worth, 3.0)
    advantage = estimate_advantages(reward, worth, worth, none, truncated, Discount(0.9, lam))
    assert torch.allclose(advantage, torch.zeros_like(worth), atol=1e-12)


def filled_buffer(steps: int = 4, envs: int = 3) -> RolloutBuffer:
    """Every value tells its step and environment: t·10 + n."""
    buffer = RolloutBuffer({"index": torch.zeros(envs, dtype=torch.int64)}, torch.zeros(envs).long(), steps)
    none = torch.zeros(envs, dtype=torch.bool)
    for t in range(steps):
        tag = torch.arange(envs) + t * 10
        sampled = SampledActions(tag % 3, tag.float() + 0.1, tag.float(), tag.float() + 0.2)
        parts, final = {"index": tag}, {"index": -tag}
        buffer.store_decision(t, parts, sampled)
        truncated = torch.tensor([t == 1, t == 2, False])
        terminated = torch.tensor([False, t == 2, False])
        buffer.store_outcome(t, EnvStep(parts, tag.float() + 0.3, terminated | none, truncated, final))
    return buffer


def test_minibatch_gathers_the_same_sample_from_every_tensor() -> None:
    buffer = filled_buffer()
    batch = buffer.minibatch(torch.tensor([0, 7, 4]))  # (t, n) = (0,0), (2,1), (1,1)
    assert batch.parts["index"].tolist() == [0, 21, 11]
    assert batch.actions.tolist() == [0, 0, 2]
    assert batch.log_prob_B.tolist() == pytest.approx([0.1, 21.1, 11.1])
    assert batch.value_B.tolist() == pytest.approx([0.2, 21.2, 11.2])


def test_only_truncated_steps_that_did_not_terminate_are_bootstrapped() -> None:
    buffer = filled_buffer()
    samples = buffer.truncated_samples()
    assert samples.tolist() == [3]  # (1, 0); (2, 1) terminated as well
    assert buffer.final_parts_of(samples)["index"].tolist() == [-10]


def test_next_values_are_the_following_steps_the_last_and_the_final_ones() -> None:
    buffer = filled_buffer()
    buffer.bootstrap(torch.tensor([7.0, 8.0, 9.0]), buffer.truncated_samples(), torch.tensor([5.0]))
    expected = buffer.value_TN.roll(-1, 0)
    expected[-1] = torch.tensor([7.0, 8.0, 9.0])
    expected[1, 0] = 5.0
    assert torch.equal(buffer.next_value_TN, expected)


def test_returns_are_advantages_plus_values() -> None:
    buffer = filled_buffer()
    buffer.bootstrap(torch.zeros(3), buffer.truncated_samples(), torch.tensor([5.0]))
    buffer.finish(0.9, 0.8)
    again = estimate_advantages(
        buffer.reward_TN,
        buffer.value_TN,
        buffer.next_value_TN,
        buffer.terminated_TN,
        buffer.truncated_TN,
        Discount(0.9, 0.8),
    )
    assert torch.equal(buffer.advantage_TN, again)
    assert torch.equal(buffer.return_TN, again + buffer.value_TN)


def test_the_buffer_copies_what_it_stores() -> None:
    parts = {"index": torch.tensor([1, 2])}
    buffer = RolloutBuffer(parts, torch.zeros(2).long(), 1)
    buffer.store_decision(0, parts, SampledActions(torch.zeros(2).long(), *(torch.zeros(2),) * 3))
    parts["index"].add_(100)
    assert buffer.parts["index"].tolist() == [[1, 2]]


def test_memory_is_that_of_the_parts_not_of_the_observations(window_env: Any) -> None:
    env = window_env(8)
    parts = env.reset(seed=1)
    buffer = RolloutBuffer(parts, torch.zeros(8).long(), 16)
    held = sum(part.nbytes for part in buffer.parts.values())
    assert held == 16 * 8 * (8 + 2 * 4)  # one int64 index and an account of two floats
    assert held < 16 * env.materialise(parts).nbytes
