"""The trainer as a library in a notebook: any Gymnasium environment, interrupted, saved, gone on with."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from app.checkpoint.inspect import inspect_checkpoint
from app.errors import InvalidConfig, UnreadableCheckpoint
from worker.ppo import NativePPOTrainer, PPOConfig
from worker.ppo.gymnasium_adapter import GymnasiumBatch
from worker.save import load_trainer, save_trainer

CONFIG = PPOConfig(total_timesteps=96, num_envs=2, num_steps=8, num_minibatches=2, hidden_dims=(8,))


class Anything(gymnasium.Env[Any, Any]):
    """Observes and takes whatever its spaces say; interrupts itself at a step that it is told."""

    def __init__(self, observation: Any, action: Any, interrupt_at: int = 0) -> None:
        self.observation_space, self.action_space = observation, action
        self.interrupt_at, self.count = interrupt_at, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self.count += 1
        if self.count == self.interrupt_at:
            raise KeyboardInterrupt
        return self.observation_space.sample(), 1.0, self.count % 5 == 0, False, {}


BOX = spaces.Box(-1, 1, (3,), np.float32)


@pytest.mark.parametrize(
    ("observation", "obs_dim"),
    [
        (BOX, 3),
        (spaces.Box(0, 255, (4, 4, 3), np.uint8), 48),
        (spaces.Discrete(5), 5),
        (spaces.MultiBinary(4), 4),
        (spaces.MultiDiscrete([2, 3]), 5),
        (spaces.Dict({"a": BOX, "b": spaces.Discrete(2)}), 5),
        (spaces.Tuple((BOX, BOX)), 6),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_observation_of_fixed_size_is_trained_on_as_one_vector(observation: Any, obs_dim: int) -> None:
    env = GymnasiumBatch(lambda: Anything(observation, spaces.Discrete(3)), 2)
    assert env.obs_dim == obs_dim
    steps = [progress.global_step for progress in NativePPOTrainer(env, CONFIG).train()]
    assert steps == [16, 32, 48, 64, 80, 96]


@pytest.mark.parametrize(
    "action",
    [spaces.Discrete(4), spaces.Discrete(2, start=5), BOX, spaces.Box(-2, 2, (2, 2), np.float64)],
    ids=str,
)
def test_discrete_and_continuous_actions_are_taken(action: Any) -> None:
    env = GymnasiumBatch(lambda: Anything(BOX, action), 2)
    trainer = NativePPOTrainer(env, CONFIG)
    assert len(list(trainer.train())) == 6
    assert trainer.decide(env.materialise(env.observe())).shape[0] == 2


@pytest.mark.parametrize(
    ("observation", "action", "words"),
    [
        (BOX, spaces.MultiBinary(3), "action space is MultiBinary"),
        (BOX, spaces.MultiDiscrete([2, 2]), "action space is MultiDiscrete"),
        (BOX, spaces.Dict({"a": BOX}), "action space is Dict"),
        (BOX, spaces.Box(0, 5, (1,), np.int32), "action space is Box"),
        (spaces.Sequence(BOX), spaces.Discrete(2), "observation space is Sequence"),
        (
            spaces.Graph(node_space=BOX, edge_space=None),
            spaces.Discrete(2),
            "observation space is Graph",
        ),
    ],
)
def test_what_cannot_be_trained_on_is_refused_by_name_with_what_can(
    observation: Any, action: Any, words: str
) -> None:
    with pytest.raises(InvalidConfig, match=words) as refusal:
        GymnasiumBatch(lambda: Anything(observation, action), 2)
    assert "Box" in refusal.value.hint
    assert refusal.value.pointer == "env"


@pytest.mark.parametrize("step", [1, 7, 9, 20])
def test_ctrl_c_within_an_update_leaves_a_trainer_that_goes_on(step: int) -> None:
    made = iter([step, 0])
    env = GymnasiumBatch(lambda: Anything(BOX, spaces.Discrete(3), next(made)), 2)
    trainer = NativePPOTrainer(env, CONFIG)
    seen = []
    with pytest.raises(KeyboardInterrupt):
        seen.extend(progress.update for progress in trainer.train())
    seen = list(range(1, trainer.update + 1))
    seen.extend(progress.update for progress in trainer.train())
    assert seen == [1, 2, 3, 4, 5, 6]
    assert trainer.global_step == 96
    assert all(torch.isfinite(parameter).all() for parameter in trainer.network.parameters())


def test_ctrl_c_while_learning_leaves_a_trainer_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = NativePPOTrainer(GymnasiumBatch("CartPole-v1", 2), CONFIG)
    step, calls = trainer.optimizer.step, []

    def interrupted(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return step(*arguments, **options)

    monkeypatch.setattr(trainer.optimizer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(trainer.train())
    assert [progress.update for progress in trainer.train()] == [1, 2, 3, 4, 5, 6]


def test_leaving_the_loop_and_coming_back_goes_on() -> None:
    trainer = NativePPOTrainer(GymnasiumBatch("CartPole-v1", 2), CONFIG)
    for progress in trainer.train():
        if progress.update == 2:
            break
    assert [progress.update for progress in trainer.train()] == [3, 4, 5, 6]


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_a_saved_trainer_goes_on_bit_by_bit(env_id: str, tmp_path: Path) -> None:
    whole = NativePPOTrainer(GymnasiumBatch(env_id, 2), CONFIG)
    list(whole.train())
    first = NativePPOTrainer(GymnasiumBatch(env_id, 2), CONFIG)
    for progress in first.train():
        if progress.update == 3:
            break
    saved = save_trainer(tmp_path / "trainer.pt", first)
    second = load_trainer(saved.path, GymnasiumBatch(env_id, 2))
    assert [progress.update for progress in second.train()] == [4, 5, 6]
    for left, right in zip(whole.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(left, right)
    report = inspect_checkpoint(saved.path)
    assert (report.producer, report.architecture.hidden_dims.value) == ("caliper", (8,))


def test_a_trainer_is_not_loaded_into_another_environment(tmp_path: Path) -> None:
    trainer = NativePPOTrainer(GymnasiumBatch("CartPole-v1", 2), CONFIG)
    path = save_trainer(tmp_path / "trainer.pt", trainer).path
    with pytest.raises(InvalidConfig, match=r"trunk\.0"):
        load_trainer(path, GymnasiumBatch("Acrobot-v1", 2))
    with pytest.raises(InvalidConfig, match="3 environments"):
        load_trainer(path, GymnasiumBatch("CartPole-v1", 3))
    with pytest.raises(UnreadableCheckpoint, match="there is no file"):
        load_trainer(tmp_path / "other.pt", GymnasiumBatch("CartPole-v1", 2))
