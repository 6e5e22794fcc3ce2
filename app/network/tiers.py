"""Which class of hardware a device belongs to, and the network that this class trains by default.

The name decides first, then the bytes, with GB = 1e9: an A100-40 has 42,298,834,944 B, which is 42.3 GB
but 39.39 GiB, so that ">= 40" would flip with the unit. A MIG or vGPU slice counts by its own bytes,
whatever the card's name.
"""

import re
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from app.defaults import CPU_MEMORY_BYTES
from app.errors import InvalidInput
from app.network.shape import DOCUMENTED

GB = 1_000_000_000
"""Bytes of a gigabyte, as card makers count."""

TierName = Literal["h100", "a100", "high", "medium", "low", "cpu"]


@dataclass(frozen=True, slots=True)
class Tier:
    """A class of hardware with its defaults."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: TierName
    """Its short name."""
    smallest_card: str
    """The smallest device that it is sized for; smaller ones are checked by their own bytes."""
    smallest_bytes: int
    """Memory of that device, in bytes; of the CPU, what a run may take."""
    hidden_dims: tuple[int, ...]
    """Default trunk."""
    num_envs: int
    """Default number of environments stepped at once."""
    cards: str
    """Known members, in words."""

    @property
    def device_type(self) -> Literal["cuda", "cpu"]:
        """Where tensors live on this tier."""
        return "cpu" if self.name == "cpu" else "cuda"


@dataclass(frozen=True, slots=True)
class DetectedTier:
    """A device's tier, and why."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    tier: Tier
    """The tier."""
    reason: str
    """What decided, in words."""


LARGE, SMALL, TINY = (1024, 512, 256), (512, 256, 128), (256, 128, 64)

TIERS: dict[str, Tier] = {
    tier.name: tier
    for tier in (
        Tier(
            "h100",
            "H100 PCIe 80 GB",
            84_900_000_000,
            LARGE,
            4096,
            "H100 PCIe, SXM and NVL, H800, H20, H200, GH200, B100, B200, GB200, B300",
        ),
        Tier("a100", "A100 40 GB", 42_298_834_944, LARGE, 2048, "A100 and A800, 40 and 80 GB"),
        Tier(
            "high",
            "40 GB MIG slice",
            40 * GB,
            SMALL,
            1024,
            "40 GB and more: L40S, RTX A6000, RTX PRO 6000, MI300X (ROCm), 3g.40gb slices",
        ),
        Tier(
            "medium",
            "20 GB MIG slice",
            20 * GB,
            SMALL,
            512,
            "20 to 40 GB: L4, A10G, RTX 3090, 4090 and 5090, V100 32 GB, 2g.20gb slices",
        ),
        Tier("low", "T4 16 GB", 15_655_239_680, TINY, 256, "below 20 GB: T4, V100 16 GB, RTX 4080"),
        Tier(
            "cpu",
            "a machine without a GPU",
            CPU_MEMORY_BYTES,
            TINY,
            64,
            "any machine without a GPU",
        ),
    )
}
"""All tiers by name, the largest first; default networks are the project notes', kept."""

HIGH_FROM, MEDIUM_FROM = 40 * GB, 20 * GB
A100_LARGE_FROM = 60 * GB

_H100_CLASS = re.compile(r"\b(H100|H800|H20|H200|GH200|B100|B200|GB200|B300|GB300)(?!\d)", re.IGNORECASE)
_A100_CLASS = re.compile(r"\b(A100|A800)(?!\d)", re.IGNORECASE)
_SLICE = re.compile(r"\bMIG\b|\b\d+g\.\d+gb\b|\bGRID\b|\bvGPU\b", re.IGNORECASE)
_CPU = re.compile(r"\bcpu\b", re.IGNORECASE)


def detect_tier(name: str, total_bytes: int) -> DetectedTier:
    """Find the tier of a device by its name and total memory, as the driver reports them.

    A CPU is named `cpu` or has no bytes of device memory. Raises InvalidInput for negative bytes.
    """
    if total_bytes < 0:
        raise InvalidInput(
            f"total_bytes is {total_bytes}", hint="0 for a CPU, else the card's bytes", pointer="total_bytes"
        )
    if total_bytes == 0 or _CPU.search(name):
        return DetectedTier(TIERS["cpu"], "no GPU: the CPU is a tier of its own")
    size = f"{total_bytes / GB:.1f} GB"
    if _SLICE.search(name):
        tier = _by_bytes(total_bytes)
        return DetectedTier(tier, f"{name} is a slice of a card, counted by its own {size}: {tier.name} tier")
    for pattern, known in ((_H100_CLASS, "h100"), (_A100_CLASS, "a100")):
        match = pattern.search(name)
        if match:
            return DetectedTier(TIERS[known], f"the name {name!r} holds {match[0]}: {known} tier ({size})")
    tier = _by_bytes(total_bytes)
    return DetectedTier(tier, f"{name or 'a GPU without a name'} is counted by its {size}: {_range(tier)}")


def find_tier(name: str) -> Tier:
    """The tier of this name; raises InvalidInput naming the known ones."""
    if name not in TIERS:
        raise InvalidInput(f"unknown tier {name!r}", hint=f"one of {', '.join(TIERS)}", pointer="tier")
    return TIERS[name]


def list_tiers(cpu_memory_bytes: int) -> tuple[Tier, ...]:
    """All tiers, the largest first, where a run on the CPU may take so many bytes."""
    return tuple(
        replace(tier, smallest_bytes=cpu_memory_bytes) if tier.name == "cpu" else tier
        for tier in TIERS.values()
    )


def check_also_tiers(tier: str, also: tuple[str, ...]) -> tuple[str, ...]:
    """The tiers whose jobs a worker of `tier` takes when it has none of its own, largest first.

    Only cards, and only smaller ones, so that what was found to fit there fits here. Raises InvalidInput.
    """
    names = list(TIERS)
    smaller = names[names.index(find_tier(tier).name) + 1 :] if tier != "cpu" else []
    allowed = [name for name in smaller if name != "cpu"]
    for name in also:
        if name not in allowed:
            hint = f"one of {', '.join(allowed)}" if allowed else "none: there is no smaller card"
            detail = f"a worker of tier {tier} cannot take jobs of tier {name!r}"
            raise InvalidInput(detail, hint=hint, pointer="also_tiers")
    return tuple(name for name in allowed if name in also)


def a100_hidden_dims(total_bytes: int) -> tuple[int, ...]:
    """The notes' get_a100_config: 80 GB trains (1024, 512, 256), 40 GB trains (512, 256, 128)."""
    return LARGE if total_bytes >= A100_LARGE_FROM else SMALL


def _by_bytes(total_bytes: int) -> Tier:
    if total_bytes >= HIGH_FROM:
        return TIERS["high"]
    return TIERS["medium" if total_bytes >= MEDIUM_FROM else "low"]


def _range(tier: Tier) -> str:
    ranges = {"high": "40 GB or more", "medium": "20 to 40 GB", "low": "below 20 GB"}
    return f"{ranges[tier.name]} is the {tier.name} tier"
