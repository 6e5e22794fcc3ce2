"""Whole updates against PPO written out in float64, with Adam by hand."""

from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from app.network.shape import NetworkShape
from worker.ppo.config import PPOConfig
from worker.ppo.env import EnvStep
from worker.ppo.learn import Learner
from worker.ppo.network import NativeActorCritic, SampledActions
from worker.ppo.observer import MaterialisingObserver
from worker.ppo.precision import Arithmetic
from worker.ppo.rollout import RolloutBuffer

CPU = torch.device("cpu")
STEPS, ENVS, OBS, ACTIONS = 8, 4, 5, 3
LR, EPS, BETAS = 3e-3, 1e-5, (0.9, 0.999)


class Blind:
    """An environment of which only the observation is asked."""

    num_envs, obs_dim, device = ENVS, OBS, CPU

    def materialise(self, parts: dict[str, Tensor]) -> Tensor:
        return parts["observation"]


def config(**changes: Any) -> PPOConfig:
    values = {
        "num_envs": ENVS,
        "num_steps": STEPS,
        "num_minibatches": 2,
        "update_epochs": 3,
        "hidden_dims": (7,),
    }
    return PPOConfig(**{**values, **changes})


def make_network(kind: Any, seed: int, **more: Any) -> NativeActorCritic:
    shape = NetworkShape(OBS, (7,), ACTIONS, kind, **more)
    network = NativeActorCritic(shape, generator=Generator().manual_seed(seed))
    with torch.no_grad():
        # The policy's last layer is tiny at first: larger, so that ratios leave the clip range.
        network.actor[-1].weight.mul_(50)
    return network


def make_buffer(kind: str) -> RolloutBuffer:
    """A rollout by another policy, far enough away that clipping has work to do."""
    generator = Generator().manual_seed(1)
    obs = torch.randn(STEPS, ENVS, OBS, generator=generator)
    old = make_network(kind, seed=9)
    parts = {"observation": obs[0]}
    actions = old.act(obs[0], generator).actions
    buffer = RolloutBuffer(parts, actions, STEPS)
    none = torch.zeros(ENVS, dtype=torch.bool)
    with torch.no_grad():
        for t in range(STEPS):
            sampled: SampledActions = old.act(obs[t], generator)
            parts = {"observation": obs[t]}
            buffer.store_decision(t, parts, sampled)
            reward = torch.randn(ENVS, generator=generator)
            buffer.store_outcome(t, EnvStep(parts, reward, none, none, parts))
        buffer.bootstrap(torch.zeros(ENVS), buffer.truncated_samples(), torch.zeros(0))
        buffer.finish(0.9, 0.8)
    return buffer


def plain_loss(network: NativeActorCritic, buffer: RolloutBuffer, samples: Tensor, used: PPOConfig) -> Tensor:
    """Schulman et al. 2017, eq. 9, sample by sample; the network in float64."""
    obs = buffer.parts["observation"].flatten(0, 1).double()
    actions, log_prob = buffer.actions.flatten(0, 1), buffer.log_prob_TN.flatten().double()
    advantage, target = buffer.advantage_TN.flatten().double(), buffer.return_TN.flatten().double()
    old_value = buffer.value_TN.flatten().double()
    chosen = advantage[samples]
    mean, deviation = chosen.sum() / len(chosen), 0.0
    deviation = (((chosen - mean) ** 2).sum() / (len(chosen) - 1)).sqrt()
    total = torch.zeros((), dtype=torch.float64)
    for b in samples.tolist():
        new_log_prob, entropy, value = (
            each[0] for each in network.evaluate(obs[b : b + 1], actions[b : b + 1])
        )
        ratio = (new_log_prob - log_prob[b]).exp()
        a = (advantage[b] - mean) / (deviation + 1e-8) if used.norm_adv else advantage[b]
        clipped = min(max(ratio, torch.tensor(1 - 0.1)), torch.tensor(1 + 0.1))
        surrogate = min(ratio * a, clipped * a)
        error = (value - target[b]) ** 2
        if used.clip_vloss:
            near = old_value[b] + min(max(value - old_value[b], torch.tensor(-0.1)), torch.tensor(0.1))
            error = max(error, (near - target[b]) ** 2)
        total = total - surrogate + used.vf_coef * 0.5 * error - used.ent_coef * entropy
    return total / len(samples)


def plain_updates(
    network: NativeActorCritic, buffer: RolloutBuffer, used: PPOConfig, generator: Generator
) -> int:
    """Epochs of minibatches with gradient clipping and Adam (Kingma & Ba 2015, algorithm 1); steps clipped."""
    parameters = list(network.parameters())
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    step = clipped = 0
    for _ in range(used.update_epochs):
        order = torch.randperm(STEPS * ENVS, generator=generator)
        for samples in order.split(used.minibatch_size):
            step += 1
            gradients = torch.autograd.grad(plain_loss(network, buffer, samples, used), parameters)
            norm = sum((g**2).sum() for g in gradients) ** 0.5
            scale = min(1.0, used.max_grad_norm / (norm.item() + 1e-6))
            clipped += scale < 1
            for p, g, m, v in zip(parameters, gradients, first, second, strict=True):
                m.mul_(BETAS[0]).add_(scale * g, alpha=1 - BETAS[0])
                v.mul_(BETAS[1]).add_((scale * g) ** 2, alpha=1 - BETAS[1])
                m_hat, v_hat = m / (1 - BETAS[0] ** step), v / (1 - BETAS[1] ** step)
                p.data.sub_(LR * m_hat / (v_hat.sqrt() + EPS))
    return clipped


CASES: dict[str, dict[str, Any]] = {
    "as-shipped": {},
    "no-normalisation": {"norm_adv": False, "clip_vloss": False},
    "gaussian": {"ent_coef": 0.05},
    "clipped-gradients": {"max_grad_norm": 0.05, "vf_coef": 1.0},
    "separate-layer-norm": {"shared_trunk": False, "layer_norm": True},
}


@pytest.mark.parametrize("case", CASES)
def test_an_update_is_ppo_written_out_in_float64(case: str) -> None:
    used = config(**CASES[case])
    kind: Any = "gaussian" if case == "gaussian" else "discrete"
    trunk = {"shared_trunk": used.shared_trunk, "layer_norm": used.layer_norm}
    buffer = make_buffer(kind)
    fast, plain = make_network(kind, seed=2, **trunk), make_network(kind, seed=2, **trunk).double()
    adam = torch.optim.Adam(fast.parameters(), lr=LR, eps=EPS, fused=True)
    observer = MaterialisingObserver(Blind(), norm_obs=False)  # type: ignore[arg-type]
    learner = Learner(fast, adam, used, Arithmetic("fp32", CPU))
    figures = learner.learn(buffer, observer, 0.1, Generator().manual_seed(3))
    clipped = plain_updates(plain, buffer, used, Generator().manual_seed(3))
    assert 0 < figures.clipfrac < 1
    if case == "clipped-gradients":
        assert clipped > 0
    for (name, value), expected in zip(fast.named_parameters(), plain.parameters(), strict=True):
        assert torch.allclose(value.double(), expected, rtol=2e-4, atol=2e-6), name


def test_every_sample_is_seen_once_an_epoch() -> None:
    learner = Learner(make_network("discrete", 2), None, config(), Arithmetic("fp32", CPU))  # type: ignore[arg-type]
    generator = Generator().manual_seed(3)
    epochs = [torch.cat(list(learner._shuffled(make_buffer("discrete"), generator))) for _ in range(2)]
    for epoch in epochs:
        assert epoch.sort().values.tolist() == list(range(STEPS * ENVS))
    assert epochs[0].tolist() != epochs[1].tolist()
