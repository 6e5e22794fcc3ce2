"""Learning from a rollout: epochs of shuffled minibatches.

Shape suffixes: B samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from worker.ppo.config import PPOConfig
from worker.ppo.distributed import World
from worker.ppo.loss import (
    approx_kl,
    clip_fraction,
    clipped_surrogate,
    explained_variance,
    normalise_advantages,
    value_loss,
)
from worker.ppo.network import NativeActorCritic, Observed
from worker.ppo.observer import Observer
from worker.ppo.precision import Arithmetic
from worker.ppo.rollout import Minibatch, RolloutBuffer


@dataclass(frozen=True, slots=True)
class LearningFigures:
    """Means over the minibatches of one update; explained_variance is over the whole rollout."""

    policy_loss: float
    value_loss: float
    entropy: float
    approx_kl: float
    clipfrac: float
    grad_norm: float
    explained_variance: float
    weight_norm: float
    """Euclidean norm of all parameters after the update; NaN or infinite when one of them is."""


class Learner:
    """Improves the network by clipped PPO steps."""

    def __init__(
        self,
        network: NativeActorCritic,
        optimizer: Optimizer,
        config: PPOConfig,
        arithmetic: Arithmetic,
        world: World | None = None,
    ) -> None:
        self._network = network
        self._optimizer = optimizer
        self._config = config
        self._arithmetic = arithmetic
        self._world = world or World()

    def learn(
        self,
        buffer: RolloutBuffer,
        observer: Observer,
        clip_coef: float,
        generator: Generator,
    ) -> LearningFigures:
        """Run the update's epochs; figures stay on the device until the end and are read back once."""
        figures = self.improve(buffer, observer, clip_coef, generator)
        return LearningFigures(*self.sum_up(figures, buffer).tolist())

    def improve(
        self, buffer: RolloutBuffer, observer: Observer, clip_coef: float, generator: Generator
    ) -> list[Tensor]:
        """Take the update's optimizer steps and return their figures; waits for the device by target_kl only."""
        figures: list[Tensor] = []
        observer.begin_learning(buffer)
        for _ in range(self._config.update_epochs):
            epoch = [
                self._step(buffer.minibatch(samples), observer, clip_coef)
                for samples in self._shuffled(buffer, generator)
            ]
            figures += epoch
            if self._has_strayed(epoch):
                break
        return figures

    def sum_up(self, figures: list[Tensor], buffer: RolloutBuffer) -> Tensor:
        """The values of LearningFigures, still on the device."""
        means = self._world.mean(torch.stack(figures).mean(0))
        variance = self._world.variance
        unexplained = variance(buffer.return_TN - buffer.value_TN)
        explained = explained_variance(unexplained, variance(buffer.return_TN))
        weights = nn.utils.get_total_norm([parameter.detach() for parameter in self._network.parameters()])
        return torch.cat([means, torch.stack([explained, weights])])

    def _shuffled(self, buffer: RolloutBuffer, generator: Generator) -> Iterator[Tensor]:
        device = buffer.value_TN.device
        order = torch.randperm(buffer.value_TN.numel(), generator=generator, device=device)
        yield from torch.split(order, self._config.minibatch_size)

    def _step(self, batch: Minibatch, observer: Observer, clip_coef: float) -> Tensor:
        with self._arithmetic.forward():
            loss, figures = self._loss(batch, observer.for_learning(batch.parts), clip_coef)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._world.average_gradients(self._network.parameters())
        norm = nn.utils.clip_grad_norm_(self._network.parameters(), self._config.max_grad_norm)
        self._optimizer.step()
        return torch.stack([*figures, norm.detach()])

    def _loss(self, batch: Minibatch, observed: Observed, clip_coef: float) -> tuple[Tensor, list[Tensor]]:
        config = self._config
        evaluated = self._network.evaluate(observed, batch.actions)
        log_ratio_B = evaluated.log_prob_B - batch.log_prob_B
        advantage_B = self._normalise(batch.advantage_B) if config.norm_adv else batch.advantage_B
        policy = clipped_surrogate(log_ratio_B, advantage_B, clip_coef)
        value_clip = clip_coef if config.clip_vloss else None
        value = value_loss(evaluated.value_B, batch.return_B, batch.value_B, value_clip)
        entropy = evaluated.entropy_B.mean()
        seen = log_ratio_B.detach()
        figures = [policy.detach(), value.detach(), entropy.detach(), approx_kl(seen)]
        loss = policy - config.ent_coef * entropy + config.vf_coef * value
        return loss, [*figures, clip_fraction(seen, clip_coef)]

    def _normalise(self, advantage_B: Tensor) -> Tensor:
        """By mean and deviation of the minibatch that all processes have together."""
        return self._world.own(normalise_advantages(self._world.join(advantage_B)))

    def _has_strayed(self, epoch: list[Tensor]) -> bool:
        # The one early read, once an epoch and only where the user asked for the stop.
        if self._config.target_kl is None:
            return False
        return float(self._world.mean(torch.stack(epoch)[:, 3].mean())) > self._config.target_kl
