from itertools import pairwise
from typing import Any

import pytest

from app.errors import InvalidConfig
from worker.ppo.config import PPOConfig
from worker.ppo.learning_rate import ADAPTATION, HIGHEST, LOWEST, adapted, annealed
from worker.ppo.trainer import NativePPOTrainer

CONFIG = PPOConfig(desired_kl=0.01, anneal_lr=False, num_envs=1, num_steps=10, total_timesteps=40)


def test_annealing_by_hand() -> None:
    assert [annealed(8.0, update, CONFIG, wanted=True) for update in range(4)] == [8.0, 6.0, 4.0, 2.0]
    assert annealed(8.0, 3, CONFIG, wanted=False) == 8.0


@pytest.mark.parametrize(
    ("approx_kl", "expected"),
    [(0.021, 1e-3 / ADAPTATION), (0.02, 1e-3), (0.01, 1e-3), (0.005, 1e-3), (0.0049, 1e-3 * ADAPTATION)],
)
def test_adaptation_by_hand(approx_kl: float, expected: float) -> None:
    assert adapted(1e-3, approx_kl, CONFIG) == expected


def test_adaptation_stays_within_bounds_but_reaches_the_configured_rate() -> None:
    assert adapted(LOWEST, 1.0, CONFIG) == LOWEST
    assert adapted(HIGHEST, 0.0, CONFIG) == HIGHEST
    outside = PPOConfig(desired_kl=0.01, anneal_lr=False, learning_rate=0.1)
    assert adapted(0.09, 0.0, outside) == 0.1


def test_without_a_desired_kl_the_rate_stands() -> None:
    assert adapted(1e-3, 9.0, PPOConfig()) == 1e-3


def test_a_run_adapts_from_update_to_update(window_env: Any) -> None:
    config = PPOConfig(
        hidden_dims=(8,),
        num_envs=4,
        num_steps=10,
        total_timesteps=200,
        anneal_lr=False,
        desired_kl=0.002,
        seed=3,
    )
    seen = list(NativePPOTrainer(window_env(4), config).train())
    assert seen[0].learning_rate == config.learning_rate
    assert len({progress.learning_rate for progress in seen}) > 1
    for before, after in pairwise(seen):
        assert after.learning_rate == adapted(before.learning_rate, before.approx_kl, config)


def test_a_plan_and_an_adaptation_contradict_each_other() -> None:
    with pytest.raises(InvalidConfig) as refusal:
        PPOConfig(desired_kl=0.01).check()
    assert refusal.value.pointer == "desired_kl"
    assert "anneal_lr" in refusal.value.hint
