import io
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.wrappers import OrderEnforcing, TimeLimit

from app.errors import InvalidConfig
from worker.ppo.config import PPOConfig
from worker.ppo.gymnasium_adapter import GymnasiumBatch
from worker.ppo.gymnasium_state import capture_env, restore_env
from worker.ppo.trainer import NativePPOTrainer


class Holder(gymnasium.Env[Any, Any]):
    """An environment that holds whatever it is given."""

    def __init__(self, **held: Any) -> None:
        self.action_space = spaces.Discrete(2)
        self.observation_space = spaces.Box(-1, 1, (1,), np.float32)
        for name, value in held.items():
            setattr(self, name, value)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return np.zeros(1, np.float32), 1.0, False, False, {}


VALUES = {
    "flag": True,
    "count": 7,
    "exact": 0.1 + 0.2,
    "text": "euler",
    "nothing": None,
    "array": np.arange(6, dtype=np.int16).reshape(2, 3),
    "scalar": np.float32(0.1),
    "pair": (np.float64(1 / 3), [1, 2.5]),
    "table": {"a": np.array([True, False]), "b": {"c": 1}},
    "empty": {},
}


def through_a_file(captured: Any) -> Any:
    file = io.BytesIO()
    torch.save(captured, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def assert_same(left: Any, right: Any) -> None:
    assert type(left) is type(right)
    if isinstance(left, np.ndarray):
        assert left.dtype == right.dtype
        assert np.array_equal(left, right)
    elif isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_same(left[key], right[key])
    elif isinstance(left, list | tuple):
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            assert_same(a, b)
    else:
        assert left == right


@pytest.mark.parametrize("name", list(VALUES))
def test_every_plain_value_comes_back_with_its_type(name: str) -> None:
    source, target = Holder(held=VALUES[name]), Holder(held="other")
    restore_env(target, through_a_file(capture_env(source)))
    assert_same(target.held, VALUES[name])


def test_a_restored_array_is_not_the_saved_one() -> None:
    source, target = Holder(held=np.zeros(2)), Holder(held=None)
    captured = capture_env(source)
    source.held += 1
    restore_env(target, captured)
    target.held += 5
    assert captured[0]["held"]["array"].tolist() == [0, 0]


def test_generators_continue_their_stream() -> None:
    source, target = Holder(rng=np.random.default_rng(1)), Holder(rng=np.random.default_rng(2))
    source.rng.random(5)
    restore_env(target, through_a_file(capture_env(source)))
    assert np.array_equal(source.rng.random(9), target.rng.random(9))


def test_attributes_that_share_a_generator_still_share_it() -> None:
    target = Holder(rng=np.random.default_rng(2))
    target.same = target.rng
    restore_env(target, capture_env(target))
    assert target.same is target.rng


def test_a_generator_is_made_where_there_is_none() -> None:
    source, target = Holder(rng=np.random.default_rng(1)), Holder()
    restore_env(target, capture_env(source))
    assert target.rng.random() == np.random.default_rng(1).random()


def test_wrappers_are_captured_too() -> None:
    env = TimeLimit(OrderEnforcing(Holder()), 10)
    env.reset(seed=1)
    env.step(0)
    outer, middle, core = capture_env(env)
    assert outer["_elapsed_steps"] == 1
    assert middle["_has_reset"] is True
    assert "generator" in core["_np_random"]


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (object(), "builtins.object"),
        ([1, {2}], "builtins.set"),
        ({1: "key"}, "builtins.dict"),
        (np.array([object()]), "numpy.ndarray"),
        (np.random.Generator(np.random.MT19937(1)), "numpy.random"),
    ],
)
def test_what_cannot_be_saved_is_named(value: Any, named: str) -> None:
    with pytest.raises(InvalidConfig, match=r"Holder\.engine") as refusal:
        capture_env(Holder(engine=value))
    assert named in refusal.value.detail
    assert refusal.value.pointer == "env"


def test_training_without_checkpoints_works_all_the_same() -> None:
    batch = GymnasiumBatch(lambda: Holder(engine=object()), 2)
    config = PPOConfig(hidden_dims=(4,), num_envs=2, num_steps=4, total_timesteps=8)
    trainer = NativePPOTrainer(batch, config)
    assert next(trainer.train()).global_step == 8
    with pytest.raises(InvalidConfig, match=r"Holder\.engine"):
        trainer.state_dict()


def test_another_stack_of_wrappers_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="2 layers, this one has 1"):
        restore_env(Holder(), capture_env(TimeLimit(Holder(), 10)))
