"""NativeActorCritic: the policy network, whose tensors are exactly those of app.network.shape.

Shape suffixes: B samples, D obs_dim, A action_dim.
"""

import math
from itertools import islice, pairwise
from typing import NamedTuple, cast

import torch
from torch import Generator, Tensor, nn

from app.network.config import Activation
from app.network.shape import HEAD_DIM, NetworkShape
from worker.ppo.distribution import ActionDistribution, Categorical, DiagonalGaussian

ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
}
"""The module of each activation's name."""

HIDDEN_GAIN = math.sqrt(2)
POLICY_GAIN = 0.01
VALUE_GAIN = 1.0


class SampledActions(NamedTuple):
    """Actions drawn for B observations, with what the update needs of that moment."""

    actions: Tensor
    """int64 [B], or float [B, A] of a Gaussian policy."""
    log_prob_B: Tensor
    entropy_B: Tensor
    value_B: Tensor


class EvaluatedActions(NamedTuple):
    """What the present network thinks of B actions taken earlier."""

    log_prob_B: Tensor
    entropy_B: Tensor
    value_B: Tensor


class Preactivations(NamedTuple):
    """What the first layer of each trunk gives for B observations, in place of the observations."""

    of_trunks: tuple[Tensor, ...]
    """[B, h1] for the shared trunk, or for the actor's and the critic's."""


Observed = Tensor | Preactivations
"""Observations [B, D], or what the first layers have made of them."""


class NativeActorCritic(nn.Module):
    """Actor and critic over a shared trunk, or over one trunk each.

    Weights are orthogonal (gain √2; 0.01 for the policy's last layer, 1 for the value's), biases and
    log_std zero (Andrychowicz et al. 2021, "What matters in on-policy RL"). `generator` draws the
    weights on the CPU, whatever the device later; without it torch's global one does.
    """

    def __init__(
        self, shape: NetworkShape, activation: Activation = "tanh", *, generator: Generator | None = None
    ) -> None:
        super().__init__()
        self.shape = shape
        self.activation = activation
        if shape.action_kind == "gaussian":
            self.log_std = nn.Parameter(torch.zeros(shape.action_dim))
        if shape.shared_trunk:
            self.trunk = _build_trunk(shape, activation)
        else:
            self.actor_trunk = _build_trunk(shape, activation)
            self.critic_trunk = _build_trunk(shape, activation)
        self.actor = _build_head(shape.hidden_dims[-1], shape.action_dim, activation)
        self.critic = _build_head(shape.hidden_dims[-1], 1, activation)
        self._initialise(generator)

    @property
    def first_layers(self) -> tuple[nn.Linear, ...]:
        """The layers that read the observation: the shared trunk's, or the actor's and the critic's."""
        return tuple(cast("nn.Linear", trunk[0]) for trunk in self._trunks)

    def forward(self, observed: Observed) -> tuple[Tensor, Tensor]:
        """Policy outputs [B, A] (logits or means) and values [B], in the parameters' own precision."""
        if self.shape.shared_trunk:
            latent = self._latent(observed, 0)
            return self._widen(self.actor(latent)), self._widen(self.critic(latent)).squeeze(-1)
        return self._policy(observed), self.value(observed)

    def value(self, observed: Observed) -> Tensor:
        """The critic's estimate of the discounted return, [B]."""
        return self._widen(self.critic(self._latent(observed, -1))).squeeze(-1)

    def act(self, observed: Observed, generator: Generator | None = None) -> SampledActions:
        """Draw an action for each observation."""
        outputs_BA, value_B = self(observed)
        distribution = self.distribution(outputs_BA)
        actions = distribution.sample(generator)
        return SampledActions(actions, distribution.log_prob(actions), distribution.entropy(), value_B)

    def evaluate(self, observed: Observed, actions: Tensor) -> EvaluatedActions:
        """Log probability and entropy of given actions under the present policy, and the value."""
        outputs_BA, value_B = self(observed)
        distribution = self.distribution(outputs_BA)
        return EvaluatedActions(distribution.log_prob(actions), distribution.entropy(), value_B)

    def best_action(self, observed: Observed) -> Tensor:
        """The deterministic action: the most probable one, or the Gaussian's mean."""
        return self.distribution(self._policy(observed)).mode()

    def distribution(self, outputs_BA: Tensor) -> ActionDistribution:
        """The action distribution that the policy's outputs stand for."""
        if self.shape.action_kind == "gaussian":
            return DiagonalGaussian(outputs_BA, self.log_std)
        return Categorical(outputs_BA)

    @property
    def _trunks(self) -> tuple[nn.Sequential, ...]:
        return (self.trunk,) if self.shape.shared_trunk else (self.actor_trunk, self.critic_trunk)

    def _policy(self, observed: Observed) -> Tensor:
        return self._widen(self.actor(self._latent(observed, 0)))

    def _latent(self, observed: Observed, which: int) -> Tensor:
        """The first (0) or last (-1) trunk's output; a shared trunk is both."""
        trunk = self._trunks[which]
        if not isinstance(observed, Preactivations):
            return cast("Tensor", trunk(observed))
        latent = observed.of_trunks[which]
        for layer in islice(trunk, 1, None):
            latent = layer(latent)
        return latent

    def _widen(self, outputs: Tensor) -> Tensor:
        """Bring autocast's bf16 back to the parameters' type: ratios and losses need its precision."""
        return outputs.to(next(self.actor.parameters()).dtype)

    def _initialise(self, generator: Generator | None) -> None:
        last = {self.actor[-1]: POLICY_GAIN, self.critic[-1]: VALUE_GAIN}
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.orthogonal_(module.weight, last.get(module, HIDDEN_GAIN), generator=generator)
                nn.init.zeros_(module.bias)


def _build_trunk(shape: NetworkShape, activation: Activation) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width, hidden in pairwise((shape.obs_dim, *shape.hidden_dims)):
        norm = [nn.LayerNorm(hidden)] if shape.layer_norm else []
        layers += [_build_linear(width, hidden), *norm, ACTIVATIONS[activation]()]
    return nn.Sequential(*layers)


def _build_head(width: int, out: int, activation: Activation) -> nn.Sequential:
    return nn.Sequential(
        _build_linear(width, HEAD_DIM), ACTIVATIONS[activation](), _build_linear(HEAD_DIM, out)
    )


def _build_linear(width: int, out: int) -> nn.Module:
    # nn.Linear's own initialisation would cost time and draw from torch's global generator.
    return nn.Linear(width, out, device="meta").to_empty(device="cpu")
