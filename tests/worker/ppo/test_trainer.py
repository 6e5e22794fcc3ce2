import json
import math
from dataclasses import asdict, fields
from typing import Any

import pytest
import torch

from app.errors import InvalidConfig, TrainingDiverged
from worker.ppo.config import PPOConfig
from worker.ppo.progress import Progress
from worker.ppo.trainer import NativePPOTrainer


def small_config(**changes: Any) -> PPOConfig:
    values: dict[str, Any] = {
        "hidden_dims": (16, 8),
        "num_envs": 4,
        "num_steps": 10,
        "num_minibatches": 2,
        "update_epochs": 2,
        "total_timesteps": 160,
        "learning_rate": 1e-2,
        "seed": 7,
    }
    return PPOConfig(**{**values, **changes})


def weights(trainer: NativePPOTrainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.network.state_dict().items()}


def assert_equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


def test_progress_tells_the_run(window_env: Any) -> None:
    seen = list(NativePPOTrainer(window_env(4), small_config()).train())
    assert [p.update for p in seen] == [1, 2, 3, 4]
    assert [p.global_step for p in seen] == [40, 80, 120, 160]
    assert {(p.num_updates, p.total_timesteps) for p in seen} == {(4, 160)}
    assert [p.learning_rate for p in seen] == pytest.approx([1e-2, 7.5e-3, 5e-3, 2.5e-3])
    for progress in seen:
        assert progress.steps_per_second > 0
        assert 0 <= progress.clipfrac <= 1
        assert 0 < progress.entropy <= math.log(3) + 1e-6
        assert progress.grad_norm > 0
        assert 1 <= progress.episode_length <= 7
        assert json.loads(json.dumps(progress.plain(), allow_nan=False)) == asdict(progress)


def test_progress_has_the_agreed_fields() -> None:
    assert [field.name for field in fields(Progress)] == [
        *("update", "num_updates", "global_step", "total_timesteps", "steps_per_second"),
        *("episodes", "episode_return", "episode_length", "policy_loss", "value_loss", "entropy"),
        *("approx_kl", "clipfrac", "explained_variance", "learning_rate", "grad_norm"),
    ]


def test_no_episode_statistics_before_the_first_end(window_env: Any) -> None:
    env = window_env(4, episode_length=50, bars=torch.zeros(200, 3))
    progress = next(NativePPOTrainer(env, small_config()).train())
    assert (progress.episodes, progress.episode_return, progress.episode_length) == (0, None, None)


def test_explained_variance_is_none_where_returns_do_not_vary(window_env: Any) -> None:
    # gamma 0 and no rewards: every return is 0.
    env = window_env(4, bars=torch.zeros(200, 3))
    progress = next(NativePPOTrainer(env, small_config(gamma=0.0, gae_lambda=0.0)).train())
    assert progress.explained_variance is None or math.isfinite(progress.explained_variance)


@pytest.mark.parametrize("kind", ["discrete", "gaussian"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(window_env: Any, kind: str) -> None:
    runs = []
    for seed in (7, 7, 8):
        torch.manual_seed(len(runs))  # the global generator must not matter
        trainer = NativePPOTrainer(window_env(4, kind=kind), small_config(seed=seed))
        losses = [(p.policy_loss, p.value_loss, p.grad_norm) for p in trainer.train()]
        runs.append((losses, weights(trainer)))
    assert runs[0][0] == runs[1][0]
    assert_equal(runs[0][1], runs[1][1])
    assert runs[0][0] != runs[2][0]


def test_the_global_generator_is_not_moved(window_env: Any) -> None:
    before = torch.get_rng_state()
    list(NativePPOTrainer(window_env(4), small_config()).train())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("kind", ["discrete", "gaussian"])
def test_parts_built_per_minibatch_equal_stored_observations(window_env: Any, norm: bool, kind: str) -> None:
    trained = []
    for whole in (False, True):
        env = window_env(4, kind=kind, whole=whole)
        trainer = NativePPOTrainer(env, small_config(norm_obs=norm, norm_reward=norm))
        list(trainer.train())
        trained.append(weights(trainer))
    assert_equal(*trained)


def test_the_first_minibatch_starts_at_ratio_one(window_env: Any) -> None:
    # One epoch, one minibatch: the policy is still that of the rollout, normalised observations or not.
    config = small_config(num_minibatches=1, update_epochs=1, norm_obs=True)
    for progress in NativePPOTrainer(window_env(4), config).train():
        assert progress.approx_kl == pytest.approx(0, abs=1e-6)
        assert progress.clipfrac == 0


def test_stopping_and_going_on_is_the_same_as_going_through(window_env: Any) -> None:
    stopped, through = (NativePPOTrainer(window_env(4), small_config()) for _ in range(2))
    next(stopped.train())
    next(stopped.train())
    assert len(list(stopped.train())) == 2
    list(through.train())
    assert_equal(weights(stopped), weights(through))
    assert list(stopped.train()) == []


def test_gradients_are_clipped_and_reported_before_clipping(window_env: Any) -> None:
    config = small_config(max_grad_norm=1e-6, anneal_lr=False)
    trainer = NativePPOTrainer(window_env(4), config)
    progress = next(trainer.train())
    total = torch.nn.utils.get_total_norm([p.grad for p in trainer.network.parameters()])
    assert total.item() == pytest.approx(1e-6, rel=1e-2)
    assert progress.grad_norm > 1e-4


def test_target_kl_stops_the_epochs(window_env: Any) -> None:
    def optimizer_steps(target_kl: float | None) -> float:
        config = small_config(target_kl=target_kl, update_epochs=5, learning_rate=0.05)
        trainer = NativePPOTrainer(window_env(4), config)
        next(trainer.train())
        return next(iter(trainer.optimizer.state.values()))["step"].item()

    assert optimizer_steps(None) == 5 * 2
    assert optimizer_steps(1e-9) == 1 * 2
    assert optimizer_steps(1e3) == 5 * 2


def test_clip_coef_is_annealed(window_env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    trainer = NativePPOTrainer(window_env(4), small_config(anneal_clip=True))
    learn = trainer._learner.learn
    monkeypatch.setattr(trainer._learner, "learn", lambda *a: (seen.append(a[2]), learn(*a))[1])
    list(trainer.train())
    assert seen == pytest.approx([0.2, 0.15, 0.1, 0.05])


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_every_precision_trains_with_fp32_weights(window_env: Any, precision: str) -> None:
    trainer = NativePPOTrainer(window_env(4), small_config(precision=precision))
    seen = list(trainer.train())
    assert all(math.isfinite(p.policy_loss) for p in seen)
    assert {p.dtype for p in trainer.network.parameters()} == {torch.float32}


def test_bf16_follows_fp32_roughly(window_env: Any) -> None:
    losses = [
        next(NativePPOTrainer(window_env(4), small_config(precision=precision)).train()).value_loss
        for precision in ("fp32", "bf16")
    ]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)


def test_adam_is_the_fields(window_env: Any) -> None:
    trainer = NativePPOTrainer(window_env(4), small_config())
    list(trainer.train())
    state = trainer.optimizer.state_dict()
    assert state["param_groups"][0]["eps"] == 1e-5
    assert state["param_groups"][0]["betas"] == (0.9, 0.999)
    assert list(state["state"]) == list(range(len(trainer.network.shape.tensors)))
    assert all(list(entry) == ["step", "exp_avg", "exp_avg_sq"] for entry in state["state"].values())


def test_a_different_number_of_environments_is_refused(window_env: Any) -> None:
    with pytest.raises(InvalidConfig, match=r"holds 3 .* num_envs=4") as refusal:
        NativePPOTrainer(window_env(3), small_config())
    assert refusal.value.pointer == "num_envs"


def test_a_bad_configuration_is_refused_before_anything_runs(window_env: Any) -> None:
    with pytest.raises(InvalidConfig, match="gamma"):
        NativePPOTrainer(window_env(4), small_config(gamma=1.5))


def test_changing_the_config_later_changes_nothing(window_env: Any) -> None:
    config = small_config()
    trainer = NativePPOTrainer(window_env(4), config)
    config.num_steps = 99
    assert next(trainer.train()).global_step == 40


@pytest.mark.parametrize("kind", ["discrete", "gaussian"])
def test_decisions_see_observations_as_in_training(window_env: Any, kind: str) -> None:
    env = window_env(4, kind=kind)
    trainer = NativePPOTrainer(env, small_config(norm_obs=True))
    list(trainer.train())
    raw = env.materialise(env.observe())
    state = trainer.state_dict()["trainer_state"]
    seen = (raw - state["obs_mean"]) / (state["obs_var"] + 1e-8).sqrt()
    expected = trainer.network.best_action(seen.clamp(-10, 10).float())
    decided = trainer.decide(raw)
    assert not decided.requires_grad
    assert decided.dtype == expected.dtype
    assert torch.allclose(decided, expected, atol=1e-5)


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_divergence_is_an_error_with_update_and_numbers(window_env: Any, poison: float) -> None:
    bars = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    trainer = NativePPOTrainer(window_env(4, bars=bars), small_config())
    updates = trainer.train()
    next(updates)
    bars[:, 1] = poison  # an observed value; the rewards stay finite
    with pytest.raises(TrainingDiverged, match="update 2: policy_loss=nan") as failure:
        next(updates)
    assert failure.value.extra["update"] == 2
    assert failure.value.extra["figures"]["policy_loss"] == "nan"
    assert json.dumps(failure.value.problem(), allow_nan=False)


def test_a_single_sample_per_minibatch_trains(window_env: Any) -> None:
    config = small_config(num_envs=1, num_steps=4, num_minibatches=4, total_timesteps=8)
    assert all(math.isfinite(p.policy_loss) for p in NativePPOTrainer(window_env(1), config).train())


# Committed from one machine; another CPU's rounding stays well below the tolerance over three updates.
FROZEN_TRACE = {
    "discrete": [
        (-0.00783637, 0.91610277, 1.09573662, 0.64722079),
        (-0.01018178, 0.76430786, 1.08587408, 0.67376226),
        (-0.00329481, 0.83730823, 1.07503104, 0.67719102),
    ],
    "gaussian": [
        (-0.01738780, 0.83667159, 2.83719873, 1.07770920),
        (-0.01505817, 0.37621140, 2.82052708, 0.88770998),
        (-0.01243887, 0.36201403, 2.80148029, 1.04519510),
    ],
}


@pytest.mark.parametrize("kind", ["discrete", "gaussian"])
def test_loss_trace_of_a_frozen_seed(window_env: Any, kind: str) -> None:
    config = small_config(total_timesteps=120, norm_obs=True, norm_reward=True, anneal_clip=True)
    seen = NativePPOTrainer(window_env(4, kind=kind), config).train()
    trace = [(p.policy_loss, p.value_loss, p.entropy, p.grad_norm) for p in seen]
    for step, expected in zip(trace, FROZEN_TRACE[kind], strict=True):
        assert step == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_a_released_trainer_holds_no_gradients_and_goes_on_to_the_same_bits(window_env: Any) -> None:
    whole, released = (NativePPOTrainer(window_env(4), small_config()) for _ in range(2))
    list(whole.train())
    updates = released.train()
    next(updates)
    released.release()
    assert all(parameter.grad is None for parameter in released.network.parameters())
    assert released._collector._buffer is None
    assert released.state_dict()["optimizer_state_dict"]["state"][0]["step"] > 0
    list(updates)
    assert_equal(weights(whole), weights(released))
