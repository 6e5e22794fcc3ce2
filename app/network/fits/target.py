"""Which device a question is about: a card by its name, a number of bytes, or none in particular."""

from dataclasses import dataclass
from typing import Any, ClassVar

from app.errors import InvalidConfig
from app.network.config import Precision
from app.network.fits.cards import Basis, Card, find_card
from app.network.memory.device_overhead import DeviceType
from app.network.shape import DOCUMENTED
from app.network.tiers import GB, DetectedTier, detect_tier

MOST_BYTES = 1 << 50
"""Most memory that a device may be said to have."""

SAME_CARD_WITHIN = 0.05
"""How far memory_bytes may be from a named card's: drivers, ECC and virtualisation take different amounts."""

ONLY_ON_CARDS: tuple[Precision, ...] = ("tf32",)
"""Precisions that a CPU does not have."""

NEEDS_NEW_CARD: tuple[Precision, ...] = ("bf16", "tf32")
"""Precisions for which a card needs instructions of its own."""


@dataclass(frozen=True, slots=True)
class Target:
    """The device that a run is to fit."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """The card's usual name, or what is known of the device."""
    device_type: DeviceType
    """Where tensors live on it."""
    bytes: int
    """Memory that a program can have on it."""
    basis: Basis
    """Whether that was read from a device (or stated by you), or assumed."""
    source: str
    """Where the number comes from."""
    tier: DetectedTier
    """The tier that it belongs to, and why."""


def choose_target(
    *,
    gpu: str | None = None,
    memory_bytes: int | None = None,
    device: DeviceType | None = None,
    precision: Precision = "fp32",
) -> Target | None:
    """The device that these parameters name together; None where they name none.

    Raises InvalidInput for an unknown card, InvalidConfig where the parameters contradict each other.
    """
    _check_bytes(memory_bytes)
    if device == "cpu":
        _check_cpu(gpu, precision)
    if gpu is None:
        return None if memory_bytes is None else _by_bytes(memory_bytes, device or "cuda")
    card = find_card(gpu)
    _check_precision(card, precision)
    if memory_bytes is None:
        return _by_card(card)
    _check_same(card, memory_bytes)
    return Target(
        card.name, "cuda", memory_bytes, "measured", "as you said", detect_tier(card.name, memory_bytes)
    )


def _by_card(card: Card) -> Target:
    return Target(card.name, "cuda", card.bytes, card.basis, card.source, detect_tier(card.name, card.bytes))


def _by_bytes(size: int, device: DeviceType) -> Target:
    kind = "GPU" if device == "cuda" else "machine without a GPU"
    tier = detect_tier("cpu" if device == "cpu" else "", size)
    return Target(f"a {kind} with {size / GB:.2f} GB", device, size, "measured", "as you said", tier)


def _check_bytes(size: int | None) -> None:
    if size is not None and not 1 <= size <= MOST_BYTES:
        hint = f"bytes, a whole number from 1 to {MOST_BYTES:,}"
        raise InvalidConfig(f"memory_bytes is {size:,}", hint=hint, pointer="memory_bytes")


def _check_same(card: Card, size: int) -> None:
    if abs(size - card.bytes) > SAME_CARD_WITHIN * card.bytes:
        raise InvalidConfig(
            f"gpu and memory_bytes contradict: {card.name} has {card.bytes:,} B, memory_bytes says {size:,} B",
            hint=f"leave one of them out, or give bytes within {SAME_CARD_WITHIN:.0%} of the card's",
            pointer="memory_bytes",
        )


def _check_cpu(gpu: str | None, precision: Precision) -> None:
    if gpu is not None:
        raise InvalidConfig(
            f"gpu={gpu} and device=cpu contradict: {find_card(gpu).name} is a card",
            hint="leave one of them out",
            pointer="gpu",
        )
    if precision in ONLY_ON_CARDS:
        raise InvalidConfig(
            f"precision={precision} and device=cpu contradict: a CPU has no such arithmetic",
            hint="precision=fp32, bf16 or auto, or a card from Ampere (compute capability 8.0) on",
            pointer="precision",
        )


def _check_precision(card: Card, precision: Precision) -> None:
    if precision in NEEDS_NEW_CARD and not card.multiplies_bf16:
        raise InvalidConfig(
            f"precision={precision} and gpu contradict: {card.name} has no instructions for it",
            hint="precision=fp32 or auto, or a card from Ampere (compute capability 8.0) on",
            pointer="precision",
        )
