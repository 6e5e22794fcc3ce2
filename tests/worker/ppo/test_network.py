import math
from typing import Any

import pytest
import torch
from torch import nn

from app.network.shape import NetworkShape
from worker.ppo.network import NativeActorCritic

SHAPES = [
    NetworkShape(11, (8,)),
    NetworkShape(11, (16, 8), action_dim=5),
    NetworkShape(11, (16, 8, 4), shared_trunk=False),
    NetworkShape(11, (16, 8), layer_norm=True),
    NetworkShape(11, (16, 8), action_kind="gaussian", action_dim=2),
    NetworkShape(11, (16, 8), action_kind="gaussian", action_dim=2, layer_norm=True, shared_trunk=False),
]


def build(shape: NetworkShape, activation: Any = "tanh", seed: int = 3) -> NativeActorCritic:
    return NativeActorCritic(shape, activation, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s.hidden_dims}-{s.action_kind}-{s.shared_trunk}")
def test_tensors_are_named_ordered_and_shaped_as_the_shape_says(shape: NetworkShape) -> None:
    network = build(shape)
    expected = list(shape.tensors)
    assert [(name, tuple(value.shape)) for name, value in network.state_dict().items()] == expected
    # The optimizer numbers its state by the order of parameters(), which must be the same.
    assert [(name, tuple(value.shape)) for name, value in network.named_parameters()] == expected
    assert sum(parameter.numel() for parameter in network.parameters()) == shape.parameters
    assert all(value.dtype == torch.float32 and value.device.type == "cpu" for value in network.parameters())


def test_state_dict_names_are_those_of_the_field() -> None:
    names = list(build(NetworkShape(5, (8, 4), action_kind="gaussian", action_dim=1)).state_dict())
    assert names[:5] == ["log_std", "trunk.0.weight", "trunk.0.bias", "trunk.2.weight", "trunk.2.bias"]
    assert names[5:9] == ["actor.0.weight", "actor.0.bias", "actor.2.weight", "actor.2.bias"]
    assert names[9:] == ["critic.0.weight", "critic.0.bias", "critic.2.weight", "critic.2.bias"]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_weights_are_orthogonal_with_the_fields_gains_and_biases_zero(shape: NetworkShape) -> None:
    for name, value in build(shape).named_parameters():
        if value.dim() == 2:
            gain = {"actor.2.weight": 0.01, "critic.2.weight": 1.0}.get(name, math.sqrt(2))
            rows = value if value.shape[0] <= value.shape[1] else value.T
            gram = rows @ rows.T
            assert torch.allclose(gram, gain**2 * torch.eye(len(gram)), atol=1e-5), name
        elif name.endswith("bias") or name == "log_std":
            assert torch.equal(value, torch.zeros_like(value)), name
        else:
            assert torch.equal(value, torch.ones_like(value)), name  # LayerNorm's weight


def test_forward_is_the_network_written_out() -> None:
    shape = NetworkShape(3, (4,), action_dim=2)
    net = build(shape, "tanh")
    obs = torch.randn(5, 3)
    p = net.state_dict()
    latent = torch.tanh(obs @ p["trunk.0.weight"].T + p["trunk.0.bias"])
    heads = {}
    for head in ("actor", "critic"):
        hidden = torch.tanh(latent @ p[f"{head}.0.weight"].T + p[f"{head}.0.bias"])
        heads[head] = hidden @ p[f"{head}.2.weight"].T + p[f"{head}.2.bias"]
    logits, value = net(obs)
    assert torch.allclose(logits, heads["actor"], atol=1e-6)
    assert torch.allclose(value, heads["critic"][:, 0], atol=1e-6)
    assert value.shape == (5,)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value_act_and_evaluate_agree(shape: NetworkShape) -> None:
    net = build(shape)
    obs = torch.randn(9, shape.obs_dim)
    sampled = net.act(obs, torch.Generator().manual_seed(0))
    evaluated = net.evaluate(obs, sampled.actions)
    assert torch.equal(sampled.log_prob_B, evaluated.log_prob_B)
    assert torch.equal(sampled.entropy_B, evaluated.entropy_B)
    assert torch.allclose(sampled.value_B, net.value(obs), atol=1e-6)
    expected = (9,) if shape.action_kind == "discrete" else (9, shape.action_dim)
    assert sampled.actions.shape == expected


def test_best_action_is_the_most_probable_or_the_mean() -> None:
    obs = torch.randn(9, 11)
    discrete, gaussian = build(SHAPES[1]), build(SHAPES[4])
    assert torch.equal(discrete.best_action(obs), discrete(obs)[0].argmax(-1))
    assert torch.equal(gaussian.best_action(obs), gaussian(obs)[0])


@pytest.mark.parametrize(
    ("name", "module"), [("tanh", nn.Tanh), ("relu", nn.ReLU), ("elu", nn.ELU), ("silu", nn.SiLU)]
)
def test_activation_stands_after_every_hidden_layer(name: Any, module: type[nn.Module]) -> None:
    net = build(NetworkShape(5, (8, 4), layer_norm=True), name)
    kinds = [type(layer) for layer in net.trunk]
    assert kinds == [nn.Linear, nn.LayerNorm, module] * 2
    assert [type(layer) for layer in net.actor] == [nn.Linear, module, nn.Linear]


def test_separate_trunks_share_nothing() -> None:
    net = build(SHAPES[2])
    net.value(torch.randn(4, 11)).sum().backward()
    assert all(p.grad is None for n, p in net.named_parameters() if n.startswith("actor"))
    assert all(p.grad is not None for n, p in net.named_parameters() if n.startswith("critic"))


def test_same_generator_seed_gives_same_weights_and_leaves_the_global_one_alone() -> None:
    before = torch.get_rng_state()
    first, second, other = build(SHAPES[1]), build(SHAPES[1]), build(SHAPES[1], seed=4)
    first.act(torch.zeros(2, 11), torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), before)
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(first.trunk[0].weight, other.trunk[0].weight)


def test_outputs_keep_the_parameters_precision_under_autocast() -> None:
    net = build(SHAPES[1])
    with torch.autocast("cpu", torch.bfloat16):
        logits, value = net(torch.randn(4, 11))
    assert logits.dtype == value.dtype == torch.float32
    wide = build(SHAPES[1]).double()
    assert wide(torch.randn(4, 11).double())[0].dtype == torch.float64
