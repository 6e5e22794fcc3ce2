"""Memory that runs out at a chosen minibatch size, in the middle of an update."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from app.errors import OutOfDeviceMemory
from worker.ppo.config import PPOConfig
from worker.ppo.oom_retry import OomRetry, copy_to_host, halve_minibatch
from worker.ppo.trainer import NativePPOTrainer

BATCH = 40
MESSAGE = "CUDA out of memory. Tried to allocate 2.00 GiB."


def config(**changes: Any) -> PPOConfig:
    values: dict[str, Any] = {
        "hidden_dims": (12, 6),
        "num_envs": 4,
        "num_steps": 10,
        "num_minibatches": 2,
        "update_epochs": 2,
        "total_timesteps": BATCH * 4,
        "learning_rate": 3e-3,
        "anneal_clip": True,
        "norm_obs": True,
        "norm_reward": True,
        "oom_retry": True,
        "seed": 11,
    }
    return PPOConfig(**{**values, **changes})


def limit_memory(trainer: NativePPOTrainer, largest: int, *, after: int = 0) -> None:
    """Have backward passes over more than `largest` samples run out of memory, from call number `after` on.

    Calls are those of the network's evaluation with more samples: a number of optimizer steps have been
    taken by then, so that weights, moments and random numbers have moved within the update.
    """
    evaluate: Callable[..., Any] = trainer.network.evaluate
    calls = [0]

    def limited(observed: Tensor, actions: Tensor) -> Any:
        if len(actions) > largest:
            calls[0] += 1
            if calls[0] > after:
                raise torch.OutOfMemoryError(MESSAGE)
        return evaluate(observed, actions)

    trainer.network.evaluate = limited  # type: ignore[method-assign]


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
        same = torch.equal(value, right[path]) if isinstance(value, Tensor) else value == right[path]
        assert same, path


def told(progress: Any) -> dict[str, Any]:
    return {k: v for k, v in progress.plain().items() if k != "steps_per_second"}


# 2 epochs of 2 minibatches an update: memory runs out at the 1st, 2nd, 3rd or 4th step of the second one.
@pytest.mark.parametrize("step", [0, *(pytest.param(step, marks=pytest.mark.slow) for step in (1, 2, 3))])
@pytest.mark.parametrize("kind", ["discrete", "gaussian"])
def test_as_if_configured_with_the_smaller_minibatch_from_that_update_on(
    window_env: Any, kind: str, step: int
) -> None:
    retried = NativePPOTrainer(window_env(4, kind=kind), config())
    limit_memory(retried, 10, after=4 + step)
    seen = list(retried.train())

    plain = NativePPOTrainer(window_env(4, kind=kind), config(oom_retry=False))
    updates = plain.train()
    expected = [next(updates)]
    boundary, recent = copy_to_host(plain.state_dict()), plain._collector.episodes.recent
    smaller = NativePPOTrainer(window_env(4, kind=kind), config(oom_retry=False, num_minibatches=4))
    smaller.load_state_dict(boundary)
    smaller._collector.episodes.recall(recent)
    expected += smaller.train()

    assert [told(p) for p in seen] == [told(p) for p in expected]
    assert_identical(retried.state_dict(), smaller.state_dict())
    assert retried.config.num_minibatches == 4
    assert retried.oom_retries == [OomRetry(2, 2, 4, MESSAGE)]


def test_in_the_very_first_update_it_is_a_run_with_smaller_minibatches(sliding_env: Any) -> None:
    retried = NativePPOTrainer(sliding_env(4), config(norm_obs=False))
    limit_memory(retried, 10, after=1)
    list(retried.train())
    smaller = NativePPOTrainer(sliding_env(4), config(norm_obs=False, num_minibatches=4))
    list(smaller.train())
    assert_identical(retried.state_dict(), smaller.state_dict())


def test_it_halves_until_it_fits(window_env: Any) -> None:
    trainer = NativePPOTrainer(window_env(4), config())
    limit_memory(trainer, 2)
    assert [p.update for p in trainer.train()] == [1, 2, 3, 4]
    assert [(retry.asked, retry.used) for retry in trainer.oom_retries] == [(2, 4), (4, 8), (8, 20)]
    assert {retry.update for retry in trainer.oom_retries} == {1}


def test_it_ends_with_the_clear_error_where_not_even_one_sample_fits(window_env: Any) -> None:
    trainer = NativePPOTrainer(window_env(4), config())
    limit_memory(trainer, 0)
    with pytest.raises(OutOfDeviceMemory, match="Tried to allocate") as failure:
        next(trainer.train())
    assert failure.value.hint.startswith("fewer environments or steps (num_envs=4, num_steps=10)")
    assert "oom_retry" not in failure.value.hint
    assert [retry.used for retry in trainer.oom_retries] == [4, 8, 20, 40]


def test_without_leave_memory_that_runs_out_is_an_error(window_env: Any) -> None:
    trainer = NativePPOTrainer(window_env(4), config(oom_retry=False))
    limit_memory(trainer, 10)
    with pytest.raises(OutOfDeviceMemory) as failure:
        next(trainer.train())
    assert failure.value.pointer == "num_minibatches"
    assert "num_minibatches above 2" in failure.value.hint
    assert "oom_retry=true" in failure.value.hint
    assert trainer.oom_retries == []


def test_other_errors_are_not_retried(window_env: Any) -> None:
    trainer = NativePPOTrainer(window_env(4), config())
    trainer.network.evaluate = lambda *_: torch.zeros(2, 3) @ torch.zeros(2, 3)
    with pytest.raises(RuntimeError, match="mat1"):
        next(trainer.train())
    assert trainer.oom_retries == []


def test_leave_to_retry_changes_nothing_while_memory_lasts(window_env: Any) -> None:
    with_leave, without = (
        NativePPOTrainer(window_env(4), config(oom_retry=leave)) for leave in (True, False)
    )
    assert [told(p) for p in with_leave.train()] == [told(p) for p in without.train()]
    assert_identical(with_leave.state_dict(), without.state_dict())


def test_splitting_between_updates_keeps_everything_else(window_env: Any) -> None:
    trainer = NativePPOTrainer(window_env(4), config())
    next(trainer.train())
    before, recent = copy_to_host(trainer.state_dict()), trainer._collector.episodes.recent
    trainer.split_into(8)
    assert trainer.config.num_minibatches == 8
    assert_identical(trainer.state_dict(), before)
    assert trainer._collector.episodes.recent == recent


@pytest.mark.parametrize(
    ("batch", "parts", "expected"),
    [(40, 2, 4), (40, 8, 20), (40, 20, 40), (40, 40, None), (21, 3, 7), (7, 1, 7)],
)
def test_the_next_number_of_minibatches(batch: int, parts: int, expected: int | None) -> None:
    assert halve_minibatch(PPOConfig(num_envs=1, num_steps=batch, num_minibatches=parts)) == expected


def test_the_copy_shares_nothing() -> None:
    state = {"a": torch.ones(2), "b": [torch.zeros(1), (1, "x")], "c": 3.5}
    copied = copy_to_host(state)
    assert_identical(copied, state)
    state["a"].add_(1)
    state["b"][0].add_(1)
    assert copied["a"].tolist() == [1, 1]
    assert copied["b"][0].tolist() == [0]
