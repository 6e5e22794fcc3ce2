"""Exports to Stable-Baselines3, loaded by the real library: the same outputs, the same actions, and it trains on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.checkpoint.inspect import inspect_checkpoint
from app.errors import NotExportable
from app.export.parity import check_parity
from app.network.shape import NetworkShape
from tests.export.policies import Made, make_policy, policy_outputs

torch = pytest.importorskip("torch")
sb3 = pytest.importorskip("stable_baselines3")


def _load(made: Made) -> Any:
    return sb3.PPO.load(made.export("sb3"), device="cpu")


@pytest.mark.parametrize("shared_trunk", [True, False])
@pytest.mark.parametrize("activation", ["tanh", "relu", "elu", "silu"])
@pytest.mark.parametrize("action_kind", ["discrete", "gaussian"])
def test_it_computes_the_same_there(
    tmp_path: Path, activation: str, action_kind: Any, shared_trunk: bool
) -> None:
    shape = NetworkShape(12, (16, 8), 4, action_kind, shared_trunk=shared_trunk)
    made = make_policy(tmp_path, shape, activation=activation)
    observations = np.random.default_rng(1).standard_normal((64, 12)).astype(np.float32)
    policy, value = policy_outputs(made, observations)
    model = _load(made)
    with torch.no_grad():
        distribution = model.policy.get_distribution(torch.from_numpy(observations)).distribution
        values = model.policy.predict_values(torch.from_numpy(observations)).squeeze(-1).numpy()
    assert np.abs(values - value).max() <= 1e-6
    chosen, _ = model.predict(observations, deterministic=True)
    if action_kind == "discrete":
        logits = torch.log_softmax(torch.from_numpy(policy), -1).numpy()
        assert np.abs(distribution.logits.numpy() - logits).max() <= 1e-6
        assert np.array_equal(chosen, policy.argmax(1))
    else:
        assert np.abs(distribution.mean.numpy() - policy).max() <= 1e-6
        assert np.abs(distribution.stddev.numpy() - made.network.log_std.detach().exp().numpy()).max() <= 1e-6
        assert np.abs(chosen - policy.clip(-0.5, 1.0)).max() <= 1e-6


def test_its_settings_are_those_of_the_run(tmp_path: Path) -> None:
    made = make_policy(tmp_path, NetworkShape(12, (16,)), gamma=0.98, num_steps=32, clip_vloss=False)
    model = _load(made)
    assert (model.gamma, model.n_steps, model.n_envs) == (0.98, 32, 1)
    assert model.batch_size == made.config.minibatch_size
    assert model.clip_range(1.0) == made.config.clip_coef
    assert model.clip_range_vf is None
    assert model.policy_kwargs["net_arch"] == {"pi": [16, 64], "vf": [16, 64]}
    assert model.observation_space.shape == (12,)
    assert model.action_space.n == 3


def test_it_trains_on_there(tmp_path: Path) -> None:
    """The zip cannot know the environment's bounds: they are handed over with it."""
    import gymnasium

    made = make_policy(tmp_path, NetworkShape(4, (8,), 2), num_steps=16, num_envs=2)
    env = gymnasium.make("CartPole-v1")
    spaces = {"observation_space": env.observation_space, "action_space": env.action_space}
    model = sb3.PPO.load(made.export("sb3"), env=env, custom_objects=spaces, device="cpu")
    model.learn(32)
    assert model.num_timesteps >= 32
    env.close()


@pytest.mark.parametrize("action_kind", ["discrete", "gaussian"])
def test_our_reader_reads_it_as_it_reads_theirs(tmp_path: Path, action_kind: Any) -> None:
    made = make_policy(tmp_path, NetworkShape(12, (16, 8), 4, action_kind))
    report = inspect_checkpoint(made.export("sb3"))
    assert report.findings == ()
    assert report.producer == "stable-baselines3"
    facts = report.architecture
    assert (facts.obs_dim.value, facts.action_dim.value, facts.action_kind.value) == (12, 4, action_kind)
    assert facts.hidden_dims.value == (16, 8, 64)  # SB3's heads are one layer: ours have a hidden one
    assert facts.activation.value == "tanh"
    assert check_parity(made.path, made.export("sb3"), count=20).max_policy_difference == 0.0


@pytest.mark.parametrize(
    ("parts", "settings", "why"),
    [
        ({"layer_norm": True}, {}, "no LayerNorm"),
        ({}, {"norm_obs": True}, "norm_obs"),
    ],
)
def test_what_has_no_place_there_is_refused(
    tmp_path: Path, parts: dict[str, Any], settings: dict[str, Any], why: str
) -> None:
    made = make_policy(tmp_path, NetworkShape(12, (16,), **parts), **settings)
    with pytest.raises(NotExportable, match=why) as caught:
        made.export("sb3")
    assert "onnx" in caught.value.hint


def test_a_very_wide_observation_is_refused(tmp_path: Path) -> None:
    from app.export.sb3 import MOST_OBS_DIM

    made = make_policy(tmp_path, NetworkShape(MOST_OBS_DIM + 1, (1,)))
    with pytest.raises(NotExportable, match="1,000,001 values"):
        made.export("sb3")
