"""The rollout buffer and generalised advantage estimation.

Shape suffixes: T steps, N environments, B samples. Samples are numbered time-major: b = t·N + n.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.ppo.env import EnvStep, ObservationParts
from worker.ppo.network import SampledActions
from worker.ppo.sliding import SlidingWindows


@dataclass(frozen=True, slots=True)
class Minibatch:
    """The samples of one optimizer step; observations are still parts."""

    parts: ObservationParts
    actions: Tensor
    log_prob_B: Tensor
    value_B: Tensor
    advantage_B: Tensor
    return_B: Tensor


class RolloutBuffer:
    """T steps of N environments in tensors that are allocated once.

    Observation *parts* are kept, not observations: a window over bars is built again from its index
    where it is used, and the part named `sliding` (see `env.WindowSeries`) from the rows that each step
    added. `final_parts` are read only at the steps that truncated an episode.
    """

    def __init__(
        self, parts: ObservationParts, actions: Tensor, num_steps: int, sliding: str | None = None
    ) -> None:
        num_envs, device = actions.shape[0], actions.device
        self.num_steps = num_steps
        self.num_envs = num_envs
        self.sliding = {name: SlidingWindows(parts[name], num_steps) for name in parts if name == sliding}
        plain = {name: part for name, part in parts.items() if name not in self.sliding}
        self.parts = {name: _allocate(part, num_steps) for name, part in plain.items()}
        self.final_parts = {name: _allocate(part, num_steps) for name, part in plain.items()}
        self.actions = _allocate(actions, num_steps)
        size = (num_steps, num_envs)
        self.log_prob_TN = torch.zeros(size, device=device)
        self.value_TN = torch.zeros(size, device=device)
        self.next_value_TN = torch.zeros(size, device=device)
        self.reward_TN = torch.zeros(size, device=device)
        self.advantage_TN = torch.zeros(size, device=device)
        self.return_TN = torch.zeros(size, device=device)
        self.terminated_TN = torch.zeros(size, dtype=torch.bool, device=device)
        self.truncated_TN = torch.zeros(size, dtype=torch.bool, device=device)

    @property
    def episode_ends(self) -> Tensor:
        """Steps after which an episode was over, for whichever reason: bool [T, N]."""
        return self.terminated_TN | self.truncated_TN

    def store_decision(self, t: int, parts: ObservationParts, sampled: SampledActions) -> None:
        """Copy in what was seen, done and thought at step `t`."""
        for name, stored in self.parts.items():
            stored[t] = parts[name]
        if t == 0:
            for name, windows in self.sliding.items():
                windows.begin(parts[name])
        self.actions[t] = sampled.actions
        self.log_prob_TN[t] = sampled.log_prob_B
        self.value_TN[t] = sampled.value_B

    def store_outcome(self, t: int, step: EnvStep) -> None:
        """Copy in what came of step `t`."""
        # Also where nothing ended: to ask would wait for the device.
        for name, stored in self.final_parts.items():
            stored[t] = step.final_parts[name]
        for name, windows in self.sliding.items():
            windows.append(t, step.final_parts[name], step.terminated_N | step.truncated_N)
        self.reward_TN[t] = step.reward_N
        self.terminated_TN[t] = step.terminated_N
        self.truncated_TN[t] = step.truncated_N

    def truncated_samples(self) -> Tensor:
        """Sample numbers of truncated steps, int64 [K]; a step that also terminated is not one."""
        return (self.truncated_TN & ~self.terminated_TN).flatten().nonzero().squeeze(-1)

    def final_parts_of(self, samples: Tensor) -> ObservationParts:
        """Last observation parts of the episodes that these samples ended."""
        windows = {name: sliding.final_windows(samples) for name, sliding in self.sliding.items()}
        return {**_take(self.final_parts, samples), **windows}

    def bootstrap(self, last_value_N: Tensor, samples: Tensor, final_value_K: Tensor) -> None:
        """Fill in V(next observation) of every step.

        It is the value of the following step; at the rollout's end `last_value_N`; at a truncated step,
        whose following step belongs to another episode, the value of the final observation.
        """
        self.next_value_TN[:-1] = self.value_TN[1:]
        self.next_value_TN[-1] = last_value_N
        self.next_value_TN.view(-1)[samples] = final_value_K

    def finish(self, gamma: float, gae_lambda: float) -> None:
        """Compute advantages, and returns = advantages + values."""
        estimate_advantages(
            self.reward_TN,
            self.value_TN,
            self.next_value_TN,
            self.terminated_TN,
            self.truncated_TN,
            Discount(gamma, gae_lambda),
            out=self.advantage_TN,
        )
        torch.add(self.advantage_TN, self.value_TN, out=self.return_TN)

    def minibatch(self, samples: Tensor) -> Minibatch:
        """Gather samples by their numbers, int64 [B]."""
        windows = {name: sliding.windows(samples) for name, sliding in self.sliding.items()}
        return Minibatch(
            parts={**_take(self.parts, samples), **windows},
            actions=self.actions.flatten(0, 1)[samples],
            log_prob_B=self.log_prob_TN.view(-1)[samples],
            value_B=self.value_TN.view(-1)[samples],
            advantage_B=self.advantage_TN.view(-1)[samples],
            return_B=self.return_TN.view(-1)[samples],
        )


@dataclass(frozen=True, slots=True)
class Discount:
    """How far ahead returns look (gamma) and how far advantages trust rewards over values (lambda)."""

    gamma: float
    gae_lambda: float


def estimate_advantages(  # noqa: PLR0913 - a formula of six named quantities
    reward_TN: Tensor,
    value_TN: Tensor,
    next_value_TN: Tensor,
    terminated_TN: Tensor,
    truncated_TN: Tensor,
    discount: Discount,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Generalised advantage estimates, [T, N] (Schulman et al. 2016, eq. 16).

    δ_t = r_t + gamma V(s_{t+1}) (1 - terminated_t) - V(s_t); A_t = δ_t + gamma λ (1 - ended_t) A_{t+1}.
    A truncated step keeps its bootstrap, and `next_value_TN` must hold V(final observation) there.
    """
    gamma, gae_lambda = discount.gamma, discount.gae_lambda
    # where(), not a product: an infinite or NaN value behind a terminal must not leak through 0 · inf.
    future_TN = torch.where(terminated_TN, 0.0, next_value_TN)
    advantage_TN = torch.add(reward_TN + gamma * future_TN, value_TN, alpha=-1, out=out)
    carry_TN = (~(terminated_TN | truncated_TN)).to(value_TN.dtype) * (gamma * gae_lambda)
    for t in range(reward_TN.shape[0] - 2, -1, -1):
        advantage_TN[t].addcmul_(carry_TN[t], advantage_TN[t + 1])
    return advantage_TN


def _allocate(like: Tensor, num_steps: int) -> Tensor:
    return torch.empty((num_steps, *like.shape), dtype=like.dtype, device=like.device)


def _take(parts: ObservationParts, samples: Tensor) -> ObservationParts:
    return {name: part.flatten(0, 1)[samples] for name, part in parts.items()}
