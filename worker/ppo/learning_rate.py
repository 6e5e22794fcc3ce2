"""The learning rate and clip range of an update: constant, annealed, or adapted to the KL divergence."""

from worker.ppo.config import PPOConfig

ADAPTATION = 1.5
"""Factor by which an adaptive learning rate moves after an update, as in rsl_rl."""

LOWEST, HIGHEST = 1e-6, 1e-2
"""An adaptive learning rate stays within these, or at the configured one where that lies outside."""


def annealed(start: float, update: int, config: PPOConfig, *, wanted: bool) -> float:
    """`start` lowered linearly to 0 over the run where `wanted`; `update` counts from 0."""
    return start * (1 - update / config.num_updates if wanted else 1)


def adapted(learning_rate: float, approx_kl: float, config: PPOConfig) -> float:
    """The next update's learning rate: lower above twice `desired_kl`, higher below half of it.

    Schulman et al. 2017, section 4, whose penalty moves by that rule; on the step size as in rsl_rl, but once
    an update instead of once a minibatch, where each look at the divergence would wait for the device.
    """
    if config.desired_kl is None:
        return learning_rate
    if approx_kl > 2 * config.desired_kl:
        return max(min(LOWEST, config.learning_rate), learning_rate / ADAPTATION)
    if approx_kl < config.desired_kl / 2:
        return min(max(HIGHEST, config.learning_rate), learning_rate * ADAPTATION)
    return learning_rate
