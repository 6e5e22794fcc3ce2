"""Which device is here: its name, its memory and the tier that these make it."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from app.network.tiers import Tier, detect_tier

_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),  # version 2
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),  # version 1
)


@dataclass(frozen=True, slots=True)
class Device:
    """A device to train on."""

    torch_device: torch.device
    """Where tensors live; ROCm cards are `cuda` to torch too."""
    name: str
    """The card's name as its driver reports it, a MIG slice with its profile; `cpu` without a card."""
    total_bytes: int
    """The card's (or slice's) memory; without a card the RAM that this process may use."""
    tier: Tier
    """The hardware class, with its default network and its queue."""
    reason: str
    """Why this tier, in words."""


def detect_device(index: int = 0) -> Device:
    """The card with this number among those visible, or the CPU where there is none."""
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(index)
        return _describe(torch.device("cuda", index), properties.name, properties.total_memory)
    return _describe(torch.device("cpu"), "cpu", count_ram_bytes())


def waits_for_reads(device: torch.device) -> bool:
    """Whether the host that reads a value has to wait for the device, as it does for all but the CPU."""
    return device.type != "cpu"


def count_ram_bytes() -> int:
    """Memory that this process may use: the machine's, or its container's limit where that is lower."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([physical, *_read_limits(_CGROUP_LIMITS)])


def _describe(torch_device: torch.device, name: str, total_bytes: int) -> Device:
    detected = detect_tier(name, total_bytes)
    return Device(torch_device, name, total_bytes, detected.tier, detected.reason)


def _read_limits(files: tuple[Path, ...]) -> list[int]:
    texts = [file.read_text().strip() for file in files if file.is_file()]
    # Version 2 writes "max" where there is no limit.
    return [int(text) for text in texts if text.isdigit()]
