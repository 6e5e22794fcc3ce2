"""A run that is stopped, saved, loaded into a fresh process's objects and continued ends bit by bit the same."""

import io
from typing import Any

import pytest
import torch

from app.errors import InvalidConfig
from worker.ppo.config import PPOConfig
from worker.ppo.gymnasium_adapter import GymnasiumBatch
from worker.ppo.trainer import NativePPOTrainer

UPDATES = 5


def config(**changes: Any) -> PPOConfig:
    values: dict[str, Any] = {
        "hidden_dims": (12, 6),
        "num_envs": 4,
        "num_steps": 10,
        "num_minibatches": 4,
        "update_epochs": 2,
        "total_timesteps": 40 * UPDATES,
        "learning_rate": 3e-3,
        "anneal_lr": True,
        "anneal_clip": True,
        "norm_obs": True,
        "norm_reward": True,
        "seed": 11,
    }
    return PPOConfig(**{**values, **changes})


def save(trainer: NativePPOTrainer) -> bytes:
    file = io.BytesIO()
    torch.save(trainer.state_dict(), file)
    return file.getvalue()


def load(saved: bytes) -> dict[str, Any]:
    # weights_only: the state must need nothing but tensors and plain values.
    state: dict[str, Any] = torch.load(io.BytesIO(saved), weights_only=True)
    return state


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    else:
        return {path: value}
    return {k: v for key, item in items for k, v in flatten(item, f"{path}/{key}").items()}


def assert_identical(left: Any, right: Any) -> None:
    left, right = flatten(left), flatten(right)
    assert left.keys() == right.keys()
    for path, value in left.items():
        other = right[path]
        if isinstance(value, torch.Tensor):
            assert value.dtype == other.dtype, path
            assert torch.equal(value, other), path
        else:
            assert value == other, path


def assert_resumes_everywhere(make: Any, settings: PPOConfig) -> None:
    """Compare a whole run with one resumed from each of its boundaries, the very start included."""
    trainer = NativePPOTrainer(make(), settings)
    boundaries, losses = [save(trainer)], []
    for progress in trainer.train():
        boundaries.append(save(trainer))
        losses.append((progress.policy_loss, progress.value_loss, progress.grad_norm))
    assert len(boundaries) == UPDATES + 1
    for done, saved in enumerate(boundaries):
        resumed = NativePPOTrainer(make(), settings)
        resumed.load_state_dict(load(saved))
        again = [(p.policy_loss, p.value_loss, p.grad_norm) for p in resumed.train()]
        assert again == losses[done:]
        assert_identical(load(save(resumed)), load(boundaries[-1]))


@pytest.mark.parametrize("kind", ["discrete", "gaussian"])
@pytest.mark.parametrize("norm", [False, True])
def test_resume_is_bit_identical_from_every_boundary(window_env: Any, kind: str, norm: bool) -> None:
    assert_resumes_everywhere(lambda: window_env(4, kind=kind), config(norm_obs=norm, norm_reward=norm))


@pytest.mark.parametrize("method", ["direct", "table", "convolution"])
def test_resume_is_bit_identical_however_windows_are_multiplied(sliding_env: Any, method: str) -> None:
    settings = config(norm_obs=False, first_layer=method)
    assert_resumes_everywhere(lambda: sliding_env(4), settings)


@pytest.mark.parametrize(
    "changes",
    [
        {"shared_trunk": False},
        {"layer_norm": True},
        {"target_kl": 0.001},
        {"desired_kl": 0.002, "anneal_lr": False},
        {"oom_retry": True},
    ],
)
def test_resume_is_bit_identical_for_other_networks(window_env: Any, changes: dict[str, Any]) -> None:
    assert_resumes_everywhere(lambda: window_env(4), config(**changes))


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "Acrobot-v1", "MountainCar-v0"])
def test_resume_is_bit_identical_in_gymnasium(env_id: str) -> None:
    # 60 steps an update: CartPole's episodes end inside, Pendulum's (200 steps) at a later update.
    settings = config(num_steps=60, total_timesteps=240 * UPDATES)
    assert_resumes_everywhere(lambda: GymnasiumBatch(env_id, 4), settings)


def test_loading_does_not_tie_the_trainer_to_the_state(window_env: Any) -> None:
    first, second = (NativePPOTrainer(window_env(4), config()) for _ in range(2))
    next(first.train())
    state = first.state_dict()
    before = load(save(first))
    second.load_state_dict(state)
    list(second.train())
    assert_identical(load(save(first)), before)


def test_trainer_state_has_the_agreed_entries(window_env: Any) -> None:
    env = window_env(4)
    trainer = NativePPOTrainer(env, config())
    next(trainer.train())
    state = trainer.state_dict()
    assert list(state) == ["policy_state_dict", "optimizer_state_dict", "trainer_state"]
    inner = dict(state["trainer_state"])
    assert_identical(inner.pop("env"), env.state_dict())
    f64, i64 = torch.float64, torch.int64
    assert {name: (value.dtype, tuple(value.shape)) for name, value in inner.items()} == {
        "global_step": (i64, ()),
        "update": (i64, ()),
        "cpu_rng_state": (torch.uint8, (5056,)),
        "episode_return_N": (f64, (4,)),
        "episode_length_N": (i64, (4,)),
        "obs_mean": (f64, (env.obs_dim,)),
        "obs_var": (f64, (env.obs_dim,)),
        "obs_count": (f64, ()),
        "return_N": (f64, (4,)),
        "return_mean": (f64, ()),
        "return_var": (f64, ()),
        "return_count": (f64, ()),
    }
    assert (inner["update"].item(), inner["global_step"].item()) == (1, 40)


def test_normalisation_that_is_off_leaves_no_trace(window_env: Any) -> None:
    trainer = NativePPOTrainer(window_env(4), config(norm_obs=False, norm_reward=False))
    assert set(trainer.state_dict()["trainer_state"]) == {
        *("global_step", "update", "cpu_rng_state", "episode_return_N", "episode_length_N", "env"),
    }


def test_a_run_can_be_lengthened(window_env: Any) -> None:
    short = NativePPOTrainer(window_env(4), config())
    list(short.train())
    longer = NativePPOTrainer(window_env(4), config(total_timesteps=40 * (UPDATES + 2)))
    longer.load_state_dict(load(save(short)))
    assert [p.update for p in longer.train()] == [UPDATES + 1, UPDATES + 2]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"hidden_dims": (12, 7)}, "policy_state_dict.trunk.2.weight"),
        ({"hidden_dims": (12,)}, "policy_state_dict.actor.0.weight"),
        ({"hidden_dims": (12, 6, 6)}, "policy_state_dict.trunk.4.weight"),
        ({"shared_trunk": False}, "policy_state_dict.actor_trunk.0.weight"),
        ({"norm_obs": False}, "trainer_state.obs_mean"),
        ({"num_envs": 8}, "trainer_state.episode_return_N"),
    ],
)
def test_a_state_of_another_run_is_refused(window_env: Any, changes: dict[str, Any], pointer: str) -> None:
    saved = load(save(NativePPOTrainer(window_env(4), config())))
    settings = config(**changes)
    other = NativePPOTrainer(window_env(settings.num_envs), settings)
    before = save(other)
    with pytest.raises(InvalidConfig) as refusal:
        other.load_state_dict(saved)
    assert refusal.value.pointer == pointer
    assert_identical(load(save(other)), load(before))


def test_missing_normalisation_is_named(window_env: Any) -> None:
    saved = load(save(NativePPOTrainer(window_env(4), config(norm_reward=False))))
    other = NativePPOTrainer(window_env(4), config())
    with pytest.raises(InvalidConfig, match="return_N is absent in the saved state"):
        other.load_state_dict(saved)


def moments_of(state: dict[str, Any]) -> list[torch.Tensor]:
    return [entry["exp_avg"] for entry in state["optimizer_state_dict"]["state"].values()]


def test_moments_that_are_taken_over_are_not_copied_and_train_on_to_the_same_bits(window_env: Any) -> None:
    trainer = NativePPOTrainer(window_env(4), config())
    next(trainer.train())
    saved = save(trainer)
    ends = []
    for take_over in (False, True):
        resumed, state = NativePPOTrainer(window_env(4), config()), load(saved)
        given = moments_of(state)
        resumed.load_state_dict(state, take_over=take_over)
        own = moments_of(resumed.state_dict())
        assert [a.data_ptr() == b.data_ptr() for a, b in zip(given, own, strict=True)] == [take_over] * len(
            own
        )
        list(resumed.train())
        ends.append(load(save(resumed)))
        assert all(map(torch.equal, given, moments_of(load(saved)))) is not take_over
    assert_identical(*ends)
