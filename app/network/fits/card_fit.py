"""Whether a run fits the cards that are known by name, and how far it could grow on each."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from app.network.config import PPOConfig
from app.network.first_layer import suit_device
from app.network.fits.cards import CARDS, Basis, Card
from app.network.fits.fit import find_nearest_fit
from app.network.fits.limits import Limits, find_limits
from app.network.fits.target import Target
from app.network.memory.device_overhead import DeviceType
from app.network.memory.run_memory import run_bytes
from app.network.memory.run_plan import RunPlan
from app.network.shape import DOCUMENTED, NetworkShape


@dataclass(frozen=True, slots=True)
class DeviceFit:
    """Whether the run fits the device that was asked about, and how far it could grow there."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """The card, or what is known of the device."""
    device_type: DeviceType
    """Where tensors live on it."""
    tier: str
    """Its tier."""
    tier_reason: str
    """What decided the tier."""
    card_bytes: int
    """Its memory."""
    basis: Basis
    """Whether that was read from a device, or is assumed."""
    source: str
    """Where that number comes from."""
    needed_bytes: int
    """What the run needs there, overheads and margin included."""
    fits: bool
    """Whether that is enough."""
    free_bytes: int
    """What would be left; negative where it does not fit."""
    largest_minibatch: int
    """Most samples per optimizer step that fit beside this rollout, in steps of 128 from 2,048 on; 0 for none."""
    fewest_minibatches: int | None
    """Smallest num_minibatches that divides the batch and fits; null where none does."""
    largest_num_envs: int
    """Most environments that fit with these num_steps and num_minibatches; 0 for none."""
    nearest_fit: dict[str, Any] | None = None
    """Where the run does not fit: the least change of settings by which it does; null where it fits or none does."""
    nearest_fit_bytes: int | None = None
    """What the run needs with that change."""


@dataclass(frozen=True, slots=True)
class CardFit:
    """Whether the run fits one named card, and how far it could grow there."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """The card; GET /estimate?gpu= takes it, in any case and with or without blanks."""
    tier: str
    """The tier that a worker on it has."""
    card_bytes: int
    """Its memory."""
    basis: Basis
    """Whether that was read from a device by us, or is assumed after others' readings and data sheets."""
    multiplies_bf16: bool
    """Whether it has instructions for bf16 and tf32."""
    needed_bytes: int
    """What the run needs there, overheads and margin included."""
    fits: bool
    """Whether that is enough."""
    free_bytes: int
    """What would be left; negative where it does not fit."""
    largest_minibatch: int
    """Most samples per optimizer step that fit beside this rollout, in steps of 128 from 2,048 on; 0 for none."""
    largest_num_envs: int
    """Most environments that fit with these num_steps and num_minibatches; 0 for none."""


def fit_cards(
    shape: NetworkShape, config: PPOConfig, plan: RunPlan, target: Target | None
) -> tuple[DeviceFit | None, tuple[CardFit, ...]]:
    """The device asked about, and all cards: their limits are found together."""
    on_card, suited = replace(plan, device_type="cuda"), suit_device(config, plan.windows, "cuda")
    needed = run_bytes(shape, suited, on_card)
    own = {target.bytes} if target and target.device_type == "cuda" else set()
    limits = find_limits(shape, suited, on_card, own | {card.bytes for card in CARDS})
    cards = tuple(_card_fit(card, needed, limits[card.bytes]) for card in CARDS)
    if target is None:
        return None, cards
    plan = replace(plan, device_type=target.device_type)
    if target.device_type != "cuda":
        limits = find_limits(shape, config, plan, [target.bytes])
    return _device_fit(shape, config, plan, target, limits[target.bytes]), cards


def _card_fit(card: Card, needed: int, limits: Limits) -> CardFit:
    return CardFit(
        name=card.name,
        tier=card.tier.name,
        card_bytes=card.bytes,
        basis=card.basis,
        multiplies_bf16=card.multiplies_bf16,
        needed_bytes=needed,
        fits=needed <= card.bytes,
        free_bytes=card.bytes - needed,
        largest_minibatch=limits.largest_minibatch,
        largest_num_envs=limits.largest_num_envs,
    )


def _device_fit(
    shape: NetworkShape, config: PPOConfig, plan: RunPlan, target: Target, limits: Limits
) -> DeviceFit:
    needed = run_bytes(shape, config, plan)
    nearest = None if needed <= target.bytes else find_nearest_fit(shape, config, target.bytes, plan)
    return DeviceFit(
        name=target.name,
        device_type=target.device_type,
        tier=target.tier.tier.name,
        tier_reason=target.tier.reason,
        card_bytes=target.bytes,
        basis=target.basis,
        source=target.source,
        needed_bytes=needed,
        fits=needed <= target.bytes,
        free_bytes=target.bytes - needed,
        largest_minibatch=limits.largest_minibatch,
        fewest_minibatches=limits.fewest_minibatches,
        largest_num_envs=limits.largest_num_envs,
        nearest_fit=nearest.settings if nearest else None,
        nearest_fit_bytes=nearest.memory.total_bytes if nearest else None,
    )
