from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit

from app.errors import InvalidConfig
from worker.ppo.env import BatchedEnv
from worker.ppo.gymnasium_adapter import GymnasiumBatch


class Counter(gymnasium.Env[Any, Any]):
    """Observes how many steps it has taken; terminates at `end`; remembers the last action."""

    def __init__(
        self, end: int = 3, action_space: Any = None, observation_space: Any = None, start: float = 0
    ) -> None:
        self.end, self.start = end, start
        self.action_space = action_space or spaces.Discrete(2)
        self.observation_space = observation_space or spaces.Box(-100, 100, (1,), np.float32)
        self.taken: list[float] = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.count = 0
        return self._obs(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.count += 1
        self.taken.append(np.asarray(action).tolist())
        return self._obs(), float(self.count), self.count >= self.end, False, {}

    def _obs(self) -> Any:
        space = self.observation_space
        if isinstance(space, spaces.Discrete):
            return self.count
        return np.full(space.shape, self.start + self.count, space.dtype)


def inner(batch: GymnasiumBatch, n: int = 0) -> Any:
    return batch._vector.envs[n].unwrapped


def zeros(batch: GymnasiumBatch) -> torch.Tensor:
    return torch.zeros(batch.num_envs, dtype=torch.int64)


def test_an_ended_episode_shows_its_final_observation_and_the_next_ones_first() -> None:
    batch = GymnasiumBatch(lambda: Counter(end=3), 2)
    batch.reset(seed=0)
    seen = [batch.step(zeros(batch)) for _ in range(4)]
    # Every step is a real one: rewards are 1, 2, 3 and then 1 of the next episode, with none left out.
    assert [step.reward_N.tolist() for step in seen] == [[1, 1], [2, 2], [3, 3], [1, 1]]
    assert [step.terminated_N[0].item() for step in seen] == [False, False, True, False]
    assert [batch.materialise(step.parts)[0].item() for step in seen] == [1, 2, 0, 1]
    assert [batch.materialise(step.final_parts)[0].item() for step in seen] == [1, 2, 3, 1]


def test_only_the_ended_environment_has_another_final_observation() -> None:
    ends = iter([2, 5])
    batch = GymnasiumBatch(lambda: Counter(end=next(ends)), 2)
    batch.reset(seed=0)
    batch.step(zeros(batch))
    step = batch.step(zeros(batch))
    assert step.terminated_N.tolist() == [True, False]
    assert step.parts["observation"].squeeze(1).tolist() == [0, 2]
    assert step.final_parts["observation"].squeeze(1).tolist() == [2, 2]


def test_a_time_limit_is_a_truncation_not_a_termination() -> None:
    batch = GymnasiumBatch(lambda: TimeLimit(Counter(end=99), 2), 1)
    batch.reset(seed=0)
    batch.step(zeros(batch))
    step = batch.step(zeros(batch))
    assert (step.terminated_N.item(), step.truncated_N.item()) == (False, True)
    assert step.final_parts["observation"].item() == 2


def test_earlier_steps_are_not_overwritten_by_later_ones() -> None:
    batch = GymnasiumBatch(lambda: Counter(end=99), 1)
    first = batch.reset(seed=0)
    second = batch.step(zeros(batch)).parts
    batch.step(zeros(batch))
    assert (first["observation"].item(), second["observation"].item()) == (0, 1)


def test_shapes_and_types_are_the_protocols() -> None:
    batch: BatchedEnv = GymnasiumBatch("CartPole-v1", 3)
    parts = batch.reset(seed=1)
    step = batch.step(torch.tensor([0, 1, 0]))
    assert (batch.obs_dim, batch.action_dim, batch.action_kind) == (4, 2, "discrete")
    assert batch.materialise(parts).shape == (3, 4)
    assert batch.materialise(parts).dtype == step.reward_N.dtype == torch.float32
    assert step.terminated_N.dtype == step.truncated_N.dtype == torch.bool
    assert torch.equal(batch.observe()["observation"], step.parts["observation"])


def test_environment_i_is_gymnasiums_with_seed_plus_i() -> None:
    batch = GymnasiumBatch("CartPole-v1", 3)
    parts = batch.reset(seed=5)["observation"]
    for n in range(3):
        alone = gymnasium.make("CartPole-v1")
        expected, _ = alone.reset(seed=5 + n)
        assert np.array_equal(parts[n].numpy(), expected)


def test_discrete_actions_may_start_elsewhere() -> None:
    batch = GymnasiumBatch(lambda: Counter(action_space=spaces.Discrete(3, start=-1)), 1)
    batch.reset(seed=0)
    for action in range(2):
        batch.step(torch.tensor([action]))
    assert inner(batch).taken == [-1, 0]


def box(low: float, high: float, shape: tuple[int, ...] = (2,)) -> Callable[[], Counter]:
    return lambda: Counter(end=99, action_space=spaces.Box(low, high, shape, np.float32))


def test_box_actions_are_clipped_by_default() -> None:
    batch = GymnasiumBatch(box(-2, 2), 1)
    batch.reset(seed=0)
    batch.step(torch.tensor([[-7.0, 0.5]]))
    assert inner(batch).taken == [[-2.0, 0.5]]
    assert (batch.action_kind, batch.action_dim) == ("gaussian", 2)


def test_box_actions_can_be_rescaled() -> None:
    batch = GymnasiumBatch(box(0, 4, (3,)), 1, action_scaling="rescale")
    batch.reset(seed=0)
    batch.step(torch.tensor([[-1.0, 0.0, 9.0]]))
    assert inner(batch).taken == [[0.0, 2.0, 4.0]]


def test_box_actions_keep_their_shape() -> None:
    batch = GymnasiumBatch(box(-9, 9, (2, 2)), 1)
    batch.reset(seed=0)
    batch.step(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    assert inner(batch).taken == [[[1.0, 2.0], [3.0, 4.0]]]


def test_an_unbounded_box_cannot_be_rescaled() -> None:
    with pytest.raises(InvalidConfig, match="unbounded"):
        GymnasiumBatch(box(-np.inf, np.inf), 1, action_scaling="rescale")


@pytest.mark.parametrize("space", [spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(3)])
def test_other_action_spaces_are_refused_by_name(space: Any) -> None:
    with pytest.raises(InvalidConfig, match="Multi") as refusal:
        GymnasiumBatch(lambda: Counter(action_space=space), 1)
    assert "Discrete or a floating-point Box" in refusal.value.hint


def test_pixels_stay_bytes_until_they_are_used() -> None:
    pixels = spaces.Box(0, 255, (2, 3), np.uint8)
    batch = GymnasiumBatch(lambda: Counter(observation_space=pixels, start=200), 2)
    parts = batch.reset(seed=0)
    assert batch.obs_dim == 6
    assert parts["observation"].dtype == torch.uint8
    assert batch.materialise(parts).tolist() == [[200.0] * 6] * 2


def test_discrete_observations_become_one_hot() -> None:
    batch = GymnasiumBatch(lambda: Counter(observation_space=spaces.Discrete(4)), 1)
    batch.reset(seed=0)
    assert batch.materialise(batch.step(zeros(batch)).parts).tolist() == [[0, 1, 0, 0]]


@pytest.mark.parametrize(
    "env_id", ["CartPole-v1", "Pendulum-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0"]
)
def test_a_restored_batch_goes_on_as_if_nothing_had_been(env_id: str) -> None:
    first, second = GymnasiumBatch(env_id, 2), GymnasiumBatch(env_id, 2)
    first.reset(seed=3)
    generator = torch.Generator().manual_seed(0)

    def draw() -> torch.Tensor:
        if first.action_kind == "discrete":
            return torch.randint(first.action_dim, (2,), generator=generator)
        return torch.randn(2, first.action_dim, generator=generator)

    for _ in range(190):
        first.step(draw())
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.observe()["observation"], second.observe()["observation"])
    # Past Pendulum's and MountainCar's limit of 200, so that the step counter and the reset's draw count too.
    for _ in range(30):
        actions = draw()
        left, right = first.step(actions), second.step(actions)
        assert torch.equal(left.parts["observation"], right.parts["observation"])
        assert torch.equal(left.reward_N, right.reward_N)
        assert torch.equal(left.truncated_N, right.truncated_N)
        assert torch.equal(left.terminated_N, right.terminated_N)
