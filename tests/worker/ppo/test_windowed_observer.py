"""Every way to compute the first layer against whole observations: values, gradients, whole trainings."""

from typing import Any

import pytest
import torch

from app.network.first_layer import FirstLayerPlan, Way
from app.network.shape import NetworkShape
from worker.ppo.config import PPOConfig
from worker.ppo.network import NativeActorCritic
from worker.ppo.observer import MaterialisingObserver
from worker.ppo.precision import Arithmetic
from worker.ppo.rollout import RolloutBuffer
from worker.ppo.trainer import NativePPOTrainer
from worker.ppo.windowed_observer import WindowedObserver

WAYS = [Way("direct"), Way("table"), Way("convolution", 1), Way("convolution", 9), Way("convolution", 33)]
NETWORKS: list[dict[str, Any]] = [
    {},
    {"layer_norm": True},
    {"shared_trunk": False},
    {"shared_trunk": False, "layer_norm": True, "action_kind": "gaussian", "action_dim": 2},
]
STEPS, ENVS = 20, 5
FP32 = Arithmetic("fp32", torch.device("cpu"))


def config(**changes: Any) -> PPOConfig:
    values: dict[str, Any] = {
        "hidden_dims": (24, 8),
        "num_envs": ENVS,
        "num_steps": STEPS,
        "num_minibatches": 4,
        "update_epochs": 2,
        "total_timesteps": ENVS * STEPS * 3,
        "learning_rate": 1e-3,
    }
    return PPOConfig(**{**values, **changes})


def plan(way: Way) -> FirstLayerPlan:
    return FirstLayerPlan(way, way, "a test's")


def build(env: Any, **changes: Any) -> NativeActorCritic:
    shape = NetworkShape(env.obs_dim, (24, 8), **{"action_dim": env.action_dim, **changes})
    return NativeActorCritic(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_outputs_and_gradients_equal_those_of_whole_observations(
    sliding_env: Any, way: Way, network: dict[str, Any]
) -> None:
    env = sliding_env(ENVS, episode_length=9)
    env.reset(seed=3)
    net = build(env, **network)
    observer = WindowedObserver(env, net, plan(way), STEPS, FP32)
    observer.begin_rollout()
    buffer: Any = None
    for t in range(STEPS):
        parts = env.observe()
        with torch.no_grad():
            sampled = net.act(observer.for_acting(parts), torch.Generator().manual_seed(t))
            outputs = net(env.materialise(parts))
        assert torch.allclose(net(observer.for_values(parts))[0], outputs[0], atol=1e-6)
        assert torch.allclose(sampled.value_B, outputs[1], atol=1e-6)
        buffer = buffer or RolloutBuffer(parts, sampled.actions, STEPS, "account")
        buffer.store_decision(t, parts, sampled)
        step = env.step(
            sampled.actions.long() % 3 if sampled.actions.dim() == 1 else torch.zeros(ENVS).long()
        )
        buffer.store_outcome(t, step)
        final = net.value(observer.for_values(step.final_parts))
        assert torch.allclose(final, net.value(env.materialise(step.final_parts)), atol=1e-6)
    assert buffer.truncated_TN.any()
    observer.begin_learning(buffer)
    parts = buffer.minibatch(torch.randperm(ENVS * STEPS)[:40]).parts
    plain = MaterialisingObserver(env, norm_obs=False)
    gradients = []
    for reader in (observer, plain):
        net.zero_grad()
        outputs = net(reader.for_learning(parts))
        (outputs[0].square().sum() + outputs[1].sin().sum()).backward()
        gradients.append([None if p.grad is None else p.grad.clone() for p in net.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        assert (ours is None) == (theirs is None)
        assert ours is None or torch.allclose(ours, theirs, atol=2e-5)


def trained(env: Any, settings: PPOConfig) -> dict[str, torch.Tensor]:
    trainer = NativePPOTrainer(env, settings)
    list(trainer.train())
    return trainer.network.state_dict()


@pytest.mark.parametrize("method", ["direct", "table", "convolution"])
@pytest.mark.parametrize("kind", ["discrete", "gaussian"])
def test_training_ends_where_it_ends_with_whole_observations(
    sliding_env: Any, method: str, kind: str
) -> None:
    whole = trained(sliding_env(ENVS, kind=kind, blind=True), config())
    windowed = trained(sliding_env(ENVS, kind=kind), config(first_layer=method))
    assert whole.keys() == windowed.keys()
    for name, value in whole.items():
        assert torch.allclose(value, windowed[name], atol=2e-4), name
        assert value.shape == windowed[name].shape


@pytest.mark.parametrize("changes", [{"norm_obs": True}, {"norm_reward": True}, {"shared_trunk": False}])
def test_whatever_else_is_configured_the_result_is_the_same(
    sliding_env: Any, changes: dict[str, Any]
) -> None:
    whole = trained(sliding_env(ENVS, blind=True), config(**changes))
    windowed = trained(sliding_env(ENVS), config(**changes))
    assert all(torch.allclose(value, windowed[name], atol=2e-4) for name, value in whole.items())


@pytest.mark.parametrize("method", ["direct", "table", "convolution"])
def test_bf16_rounds_products_to_its_own_precision_at_most(sliding_env: Any, method: str) -> None:
    env = sliding_env(ENVS)
    env.reset(seed=1)
    net = build(env)
    way = Way("convolution", 9) if method == "convolution" else Way(method)  # type: ignore[arg-type]
    observer = WindowedObserver(env, net, plan(way), STEPS, Arithmetic("bf16", env.device))
    observer.begin_rollout()
    parts = env.observe()
    with torch.autocast("cpu", torch.bfloat16):
        (pre,) = observer.for_acting(parts).of_trunks
    exact = net.first_layers[0](env.materialise(parts))
    assert pre.dtype == torch.float32
    assert torch.allclose(pre, exact, atol=0.05)
    if method == "convolution":
        assert torch.allclose(pre, exact, atol=1e-5)  # its products stay in fp32
    assert (
        len(list(NativePPOTrainer(sliding_env(ENVS), config(precision="bf16", first_layer=method)).train()))
        == 3
    )


def test_rows_of_episodes_that_begin_inside_a_rollout_are_added_when_seen(sliding_env: Any) -> None:
    # Every step ends every episode: nothing foreseen but the first row is ever visited.
    whole = trained(sliding_env(ENVS, episode_length=1, blind=True), config())
    windowed = trained(sliding_env(ENVS, episode_length=1), config(first_layer="convolution"))
    assert all(torch.allclose(value, windowed[name], atol=2e-4) for name, value in whole.items())
