"""What each tier's automatic configuration would choose, why, and whether that fits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from app.network.auto_config import resolve_config
from app.network.config import PPOConfig
from app.network.memory.run_memory import run_bytes
from app.network.memory.run_plan import RunPlan
from app.network.shape import DOCUMENTED, NetworkShape
from app.network.tiers import Tier
from app.network.use_cases import TrainingMode

EXPLAINED = (
    *("hidden_dims", "num_envs", "num_steps", "num_minibatches"),
    *("update_epochs", "learning_rate", "ent_coef"),
)
"""Settings that a tier's automatic configuration chooses."""


@dataclass(frozen=True, slots=True)
class TierDefault:
    """What a tier's automatic configuration chooses for this observation and run length, and whether that fits."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    tier: str
    """Name of the tier."""
    hidden_dims: tuple[int, ...]
    """Widths of the trunk."""
    parameters: int
    """Exact number of trained values."""
    num_envs: int
    """Environments stepped at once."""
    num_steps: int
    """Steps of each between two updates."""
    num_minibatches: int
    """Minibatches that each epoch is cut into."""
    update_epochs: int
    """Passes over each batch."""
    learning_rate: float
    """Adam's step size at the start."""
    ent_coef: float
    """Weight of the entropy bonus."""
    reasons: dict[str, str]
    """Setting -> why it is as it is."""
    card: str
    """The tier's smallest card."""
    card_bytes: int
    """That card's memory."""
    needed_bytes: int
    """What the run needs there, overheads and margin included."""
    fits: bool
    """Whether that is enough."""
    free_bytes: int
    """What would be left; negative where it does not fit."""


def choose_by_tier(
    shape: NetworkShape, config: PPOConfig, plan: RunPlan, mode: TrainingMode, tiers: Iterable[Tier]
) -> tuple[TierDefault, ...]:
    """What each of these tiers would choose, the network's own switches and the run's length as asked for."""
    kept = {
        "activation": config.activation,
        "layer_norm": config.layer_norm,
        "shared_trunk": config.shared_trunk,
    }
    return tuple(_tier_default(tier, shape, plan, config.total_timesteps, mode, kept) for tier in tiers)


def _tier_default(
    tier: Tier,
    shape: NetworkShape,
    plan: RunPlan,
    timesteps: int,
    mode: TrainingMode,
    kept: Mapping[str, Any],
) -> TierDefault:
    resolved = resolve_config(tier, timesteps, training_mode=mode, overrides=kept)
    chosen = replace(shape, hidden_dims=resolved.config.hidden_dims)
    needed = run_bytes(chosen, resolved.config, replace(plan, device_type=tier.device_type))
    return TierDefault(
        tier=tier.name,
        parameters=chosen.parameters,
        **{name: getattr(resolved.config, name) for name in EXPLAINED},
        reasons={name: resolved.reasons[name] for name in EXPLAINED},
        card=tier.smallest_card,
        card_bytes=tier.smallest_bytes,
        needed_bytes=needed,
        fits=needed <= tier.smallest_bytes,
        free_bytes=tier.smallest_bytes - needed,
    )
