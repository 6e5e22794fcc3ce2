"""Progress: what one update has done, as plain numbers."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a run after one update; every value can be written as JSON."""

    update: int
    """Updates done."""
    num_updates: int
    """Updates in the whole run."""
    global_step: int
    """Environment steps done, over all environments and since the very start."""
    total_timesteps: int
    """Environment steps asked for; the last update may pass it."""
    steps_per_second: float
    """Environment steps per second of this update, collecting and learning together."""
    episodes: int
    """Episodes that ended within this update's rollout."""
    episode_return: float | None
    """Mean raw return of the last 100 finished episodes; None before the first."""
    episode_length: float | None
    """Mean length in steps of the last 100 finished episodes; None before the first."""
    policy_loss: float
    """Clipped surrogate loss, mean over minibatches."""
    value_loss: float
    """Value loss, mean over minibatches."""
    entropy: float
    """Entropy of the policy in nats, mean over minibatches."""
    approx_kl: float
    """Estimated KL divergence from the rollout's policy, mean over minibatches."""
    clipfrac: float
    """Share of samples whose probability ratio was clipped."""
    explained_variance: float | None
    """1 perfect, 0 no better than a constant; None where the returns do not vary."""
    learning_rate: float
    """Adam's step size in this update."""
    grad_norm: float
    """Global gradient norm before clipping, mean over minibatches."""

    def plain(self) -> dict[str, Any]:
        """As a dict of plain numbers."""
        return asdict(self)
