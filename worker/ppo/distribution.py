"""What a policy's outputs mean: a categorical or a diagonal Gaussian distribution over actions.

Shape suffixes: B samples, A action_dim.
"""

import math
from typing import Protocol

import torch
from torch import Generator, Tensor

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class ActionDistribution(Protocol):
    """A batch of B distributions over actions."""

    def sample(self, generator: Generator | None = None) -> Tensor:
        """Draw one action each; never reads back from the device."""
        ...

    def mode(self) -> Tensor:
        """The most probable action of each."""
        ...

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log probability (density) of one action each, [B]."""
        ...

    def entropy(self) -> Tensor:
        """Entropy in nats, [B]."""
        ...


class Categorical:
    """One of A actions, from unnormalised log probabilities [B, A]; actions are int64 [B]."""

    def __init__(self, logits_BA: Tensor) -> None:
        self.log_probs_BA = torch.log_softmax(logits_BA, dim=-1)

    def sample(self, generator: Generator | None = None) -> Tensor:
        """Draw by the Gumbel-max trick: argmax of log p - log(-log u) with u ~ U[0, 1).

        torch.multinomial would check its input on the host, a synchronisation per step on CUDA; and of
        torch's distributions the uniform one alone draws the same numbers on every make of CPU.
        """
        uniform_BA = torch.empty_like(self.log_probs_BA).uniform_(generator=generator)
        return (self.log_probs_BA - uniform_BA.log_().neg_().log_()).argmax(dim=-1)

    def mode(self) -> Tensor:
        """The most probable action; the lowest index among equals."""
        return self.log_probs_BA.argmax(dim=-1)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log probability of the given action indices."""
        return self.log_probs_BA.gather(-1, actions.unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        """-Σ p log p; an action masked by a logit of -inf adds 0."""
        probs_BA = self.log_probs_BA.exp()
        return -(probs_BA * self.log_probs_BA.clamp(min=torch.finfo(probs_BA.dtype).min)).sum(-1)


class DiagonalGaussian:
    """A independent normal variables, from means [B, A] and a state-independent log deviation [A].

    Actions are floats [B, A] and unbounded: keeping them inside a range is the environment's matter.
    """

    def __init__(self, mean_BA: Tensor, log_std_A: Tensor) -> None:
        self.mean_BA = mean_BA
        self.log_std_A = log_std_A

    def sample(self, generator: Generator | None = None) -> Tensor:
        """Draw mean + deviation · N(0, 1)."""
        noise_BA = torch.empty_like(self.mean_BA).normal_(generator=generator)
        return self.mean_BA + self.log_std_A.exp() * noise_BA

    def mode(self) -> Tensor:
        """The mean."""
        return self.mean_BA

    def log_prob(self, actions: Tensor) -> Tensor:
        """Σ over A of -½ ((a - mean) / std)² - log std - ½ log 2π."""
        scaled_BA = (actions - self.mean_BA) * (-self.log_std_A).exp()
        return (-0.5 * scaled_BA.square() - self.log_std_A - _HALF_LOG_2PI).sum(-1)

    def entropy(self) -> Tensor:
        """Σ over A of log std + ½ + ½ log 2π, the same for each of the B."""
        return (self.log_std_A + 0.5 + _HALF_LOG_2PI).sum().expand(self.mean_BA.shape[0])
