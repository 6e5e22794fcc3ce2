"""The closed form against hand-computed cases, and against torch's MemTracker on the real network."""

import random
import statistics
from typing import Any

import pytest

from app.network.config import Activation
from app.network.shape import NetworkShape
from app.network.training_memory import BLOCK, AdamKind, blocks, update_memory, weight_bytes


def test_blocks_round_up_to_512() -> None:
    assert [blocks(size) for size in (0, 1, 512, 513)] == [0, 512, 512, 1024]


def test_weights_of_a_hand_computed_net() -> None:
    # trunk.0 8x4=32 values and 8; heads 64x8=512 and 64, 2x64=128 and 2, 512 and 64, 64 and 1
    shape = NetworkShape(4, (8,), 2)
    assert weight_bytes(shape) == 512 + 512 + (2048 + 512 + 512 + 512) + (2048 + 512 + 512 + 512)


def test_the_static_part_is_three_times_the_weights() -> None:
    update = update_memory(NetworkShape(128, (256, 128)), 64)
    steps = BLOCK * len(NetworkShape(128, (256, 128)).tensors)
    assert update.optimizer == 2 * update.weights + steps
    assert update.observations == 64 * 128 * 4


def test_the_first_layer_s_instant_by_hand() -> None:
    """At the first Linear's backward: its output gradient, all weights' gradients, the loss's tensors."""
    shape = NetworkShape(128, (256, 128))
    batch = 128  # every [B, n] is whole blocks
    update = update_memory(shape, batch)
    instant = next(i for i in update.instants if i.name == "trunk.0 linear backward")
    loss = 3 * batch * 3 * 4 + 8 * batch * 4
    assert instant.bytes == loss + batch * 256 * 4 + weight_bytes(shape)


@pytest.mark.parametrize(("adam", "extra"), [("fused", 0), ("foreach", 1.0), ("for-loop", None)])
def test_adam_s_implementations_need_different_room(adam: AdamKind, extra: float | None) -> None:
    shape = NetworkShape(512, (256,))
    step = update_memory(shape, 1, adam=adam).instants[-1].bytes
    fused = update_memory(shape, 1, adam="fused").instants[-1].bytes
    expected = 2 * 512 * 256 * 4 if extra is None else extra * weight_bytes(shape)
    assert step - fused == expected


def test_peak_grows_with_the_minibatch() -> None:
    shape = NetworkShape(53, (64, 32), layer_norm=True)
    peaks = [update_memory(shape, batch).peak for batch in (1, 16, 256, 4096)]
    assert peaks == sorted(peaks)
    assert peaks[0] < peaks[-1]


def test_activations_that_keep_their_input_need_more() -> None:
    shape = NetworkShape(53, (1024, 1024))
    kinds: tuple[Activation, ...] = ("tanh", "relu", "elu", "silu")
    saved = {name: _instant(shape, 1024, "forward end", name) for name in kinds}
    assert saved["tanh"] == saved["relu"] < saved["elu"] == saved["silu"]


def test_separate_trunks_hold_both_activations() -> None:
    shared, separate = (NetworkShape(53, (1024, 512), shared_trunk=flag) for flag in (True, False))
    trunk = 256 * (1024 + 512) * 4
    weights = weight_bytes(separate) - weight_bytes(shared)  # gradients of the step before
    weights += 2 * BLOCK * (len(separate.tensors) - len(shared.tensors))  # and their norms
    assert _instant(separate, 256, "forward end") - _instant(shared, 256, "forward end") == trunk + weights


def test_forward_still_holds_the_last_step_s_gradients() -> None:
    shape = NetworkShape(53, (1024,))
    kept = 4 * 128 * 4 + 2 * BLOCK * len(shape.tensors)
    assert _instant(shape, 128, "trunk.0 forward") == weight_bytes(shape) + 2 * 128 * 1024 * 4 + kept


def _instant(shape: NetworkShape, batch: int, name: str, activation: Activation = "tanh") -> int:
    instants = update_memory(shape, batch, activation=activation).instants
    return next(instant.bytes for instant in instants if instant.name == name)


@pytest.mark.parametrize("seed", range(2))
def test_against_torch_s_memory_tracker(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never below what torch holds; median within 1 % and worst within 3 %, for these shapes.

    Narrow networks with short observations go further over (up to 8 % seen): there the loss's own small
    tensors, which the constants bound from above, are a large part of the peak.
    """
    torch = pytest.importorskip("torch")
    draw = random.Random(seed)
    errors = []
    for _ in range(8):
        shape, batch, activation, adam = _drawn_case(draw)
        measured = _tracked_peak(torch, monkeypatch, shape, batch, activation, adam)
        predicted = update_memory(shape, batch, activation=activation, adam=adam).peak
        assert predicted >= measured, (shape, batch, activation, adam)
        errors.append(predicted / measured - 1)
        assert errors[-1] < 0.03, (shape, batch, activation, adam)
    assert statistics.median(errors) < 0.01


def _drawn_case(draw: random.Random) -> tuple[NetworkShape, int, Activation, AdamKind]:
    shape = NetworkShape(
        obs_dim=draw.choice([30, 500, 5300]),
        hidden_dims=(
            draw.choice([256, 512, 1024]),
            *(2 ** draw.randint(5, 11) for _ in range(draw.randint(0, 3))),
        ),
        action_dim=draw.choice([2, 3, 10]),
        action_kind=draw.choice(["discrete", "gaussian"]),
        layer_norm=draw.random() < 0.4,
        shared_trunk=draw.random() < 0.6,
    )
    batch = 2 ** draw.randint(9, 13)
    return (
        shape,
        batch,
        draw.choice(["tanh", "relu", "elu", "silu"]),
        draw.choice(["fused", "foreach", "for-loop"]),
    )


def _tracked_peak(
    torch: Any,
    patch: pytest.MonkeyPatch,
    shape: NetworkShape,
    batch: int,
    activation: Activation,
    adam: AdamKind,
) -> int:
    """Peak of one update on fake tensors, counted in the CUDA allocator's blocks."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools import mem_tracker

    patch.setattr(
        mem_tracker._WeakRefInfo, "_calculate_mem_consumed", lambda ref: blocks(ref.size * ref.element_size)
    )
    with FakeTensorMode():
        net = _equivalent_network(torch, shape, activation)
        fused, foreach = (adam == "fused", None if adam == "fused" else adam == "foreach")
        optimizer = torch.optim.Adam(net.parameters(), fused=fused or None, foreach=foreach)
        minibatch = _minibatch(torch, shape, batch)
        for parameter in net.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()  # its gradients stay, as they do between two minibatches
        tracker = mem_tracker.MemTracker()
        tracker.track_external(net, optimizer, *minibatch)
        with tracker:
            _learn(torch, net, optimizer, minibatch)
    return tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"]


def _minibatch(torch: Any, shape: NetworkShape, batch: int) -> list[Any]:
    discrete = shape.action_kind == "discrete"
    actions = torch.zeros(batch, dtype=torch.int64) if discrete else torch.zeros(batch, shape.action_dim)
    samples = torch.zeros(batch, dtype=torch.int64)
    return [torch.empty(batch, shape.obs_dim), actions, samples, *(torch.zeros(batch) for _ in range(4))]


def _learn(torch: Any, net: Any, optimizer: Any, minibatch: list[Any]) -> None:
    """One optimizer step of PPO, written plainly."""
    obs, actions, _, old_log_prob, old_value, advantage, target = minibatch
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    log_prob, entropy, value = net.evaluate(obs, actions)
    log_ratio = log_prob - old_log_prob
    ratio = log_ratio.exp()
    policy = -torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()
    clipped = old_value + (value - old_value).clamp(-0.2, 0.2)
    critic = 0.5 * torch.max((value - target).square(), (clipped - target).square()).mean()
    loss = policy + 0.5 * critic - 0.01 * entropy.mean()
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 0.5)
    optimizer.step()


def _equivalent_network(torch: Any, shape: NetworkShape, activation: Activation) -> Any:
    """A module with the tensors of `shape`; built here so that this room depends on no worker."""
    nn = torch.nn
    kinds = {"tanh": nn.Tanh, "relu": nn.ReLU, "elu": nn.ELU, "silu": nn.SiLU}

    def trunk() -> Any:
        layers, width = [], shape.obs_dim
        for hidden in shape.hidden_dims:
            norm = [nn.LayerNorm(hidden)] if shape.layer_norm else []
            layers += [nn.Linear(width, hidden), *norm, kinds[activation]()]
            width = hidden
        return nn.Sequential(*layers)

    def head(out: int) -> Any:
        return nn.Sequential(nn.Linear(shape.hidden_dims[-1], 64), kinds[activation](), nn.Linear(64, out))

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            if shape.action_kind == "gaussian":
                self.log_std = nn.Parameter(torch.zeros(shape.action_dim))
            for name in ("trunk",) if shape.shared_trunk else ("actor_trunk", "critic_trunk"):
                setattr(self, name, trunk())
            self.actor, self.critic = head(shape.action_dim), head(1)

        def evaluate(self, obs: Any, actions: Any) -> tuple[Any, Any, Any]:
            if shape.shared_trunk:
                latent = self.trunk(obs)
                outputs, value = self.actor(latent), self.critic(latent).squeeze(-1)
                del latent
            else:
                outputs, value = (
                    self.actor(self.actor_trunk(obs)),
                    self.critic(self.critic_trunk(obs)).squeeze(-1),
                )
            if shape.action_kind == "discrete":
                log_probs = torch.log_softmax(outputs, -1)
                entropy = -(log_probs.exp() * log_probs).sum(-1)
                return log_probs.gather(-1, actions.unsqueeze(-1)).squeeze(-1), entropy, value
            scaled = (actions - outputs) * (-self.log_std).exp()
            log_prob = (-0.5 * scaled.square() - self.log_std).sum(-1)
            return log_prob, self.log_std.sum().expand(outputs.shape[0]), value

    network = Network()
    assert [(name, tuple(p.shape)) for name, p in network.named_parameters()] == list(shape.tensors)
    return network
