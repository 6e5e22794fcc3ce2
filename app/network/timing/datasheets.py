"""What makers say that their cards can do: bounds for the time of training where nothing was measured.

Peaks are dense (without sparsity) and at boost clock. How much of them training reaches is assumed.
"""

import re
from dataclasses import dataclass
from typing import Literal

TERA, GIGA = 1e12, 1e9

BEST_USE, WORST_USE = 0.8, 0.05
"""Part of the peaks that training is assumed to reach, at best and at worst."""

BEST_STEP, WORST_STEP = 2e-4, 5e-3
"""Seconds that the loop around the network is assumed to take per step of all environments."""

BEST_MINIBATCH, WORST_MINIBATCH = 5e-4, 1e-2
"""The same per minibatch."""

SHARED: dict[str, tuple[float, str]] = {
    "part of the peaks reached, at best": (BEST_USE, "share"),
    "part of the peaks reached, at worst": (WORST_USE, "share"),
    "loop around a step, at best": (BEST_STEP, "s"),
    "loop around a step, at worst": (WORST_STEP, "s"),
    "loop around a minibatch, at best": (BEST_MINIBATCH, "s"),
    "loop around a minibatch, at worst": (WORST_MINIBATCH, "s"),
}
"""All of these by name, with their units."""

CPU = "cpu"

LOOPS = {CPU: 0.1}
"""Part of the loop's best seconds that is assumed where nothing is launched on a card."""


@dataclass(frozen=True, slots=True)
class Datasheet:
    """The peaks of a device."""

    name: str
    """Name in words."""
    pattern: str
    """What its driver's name holds."""
    fp32: float
    """FLOP/s of fp32 products."""
    tf32: float
    """FLOP/s of tf32 products; fp32's where it has none."""
    bf16: float
    """FLOP/s of bf16 products; fp32's where it has none."""
    bandwidth: float
    """Bytes a second of its memory."""
    source: str
    """Where the numbers stand."""
    basis: Literal["data sheet", "assumed"] = "data sheet"
    """`assumed` where no sheet names this very device."""

    def peak(self, precision: str) -> float:
        """FLOP/s in this precision; `auto` may be the fastest."""
        return {"tf32": self.tf32, "bf16": self.bf16, "auto": self.bf16}.get(precision, self.fp32)

    def seconds(
        self, flops: float, moved: float, precision: str, steps: int, minibatches: int
    ) -> tuple[float, float]:
        """Least and most seconds of one update: `flops` operations, `moved` bytes, and the loop around them.

        At best all but the longest hides behind it; at worst nothing does, and no precision helps.
        """
        loop = steps * BEST_STEP + minibatches * BEST_MINIBATCH
        best = max(flops / (self.peak(precision) * BEST_USE), LOOPS.get(self.pattern, 1.0) * loop)
        slow = flops / (self.fp32 * WORST_USE) + moved / (self.bandwidth * WORST_USE)
        return best, slow + steps * WORST_STEP + minibatches * WORST_MINIBATCH


def _card(name: str, pattern: str, fp32: float, tf32: float, bf16: float, bandwidth: float) -> Datasheet:
    """A card by its peaks in TFLOP/s and GB/s."""
    source = f"the maker's data sheet of {name}, dense"
    return Datasheet(name, pattern, fp32 * TERA, tf32 * TERA, bf16 * TERA, bandwidth * GIGA, source)


DATASHEETS = (
    _card("B200", r"\bG?B200\b", 75, 1_100, 2_250, 8_000),
    _card("H200 SXM", r"\bG?H200\b", 67, 494.7, 989.4, 4_800),
    _card("H100 NVL", r"\bH100 NVL\b", 60, 417.5, 835.5, 3_900),
    _card("H100 PCIe", r"\bH100 PCIe\b", 51, 378, 756, 2_000),
    _card("H100 SXM", r"\bH100\b", 67, 494.7, 989.4, 3_350),
    _card("A100 80 GB", r"\bA[18]00\b.*\b80", 19.5, 156, 312, 1_935),
    _card("A100 40 GB", r"\bA[18]00\b", 19.5, 156, 312, 1_555),
    _card("L40S", r"\bL40S\b", 91.6, 183, 362, 864),
    _card("RTX A6000", r"\bA6000\b", 38.7, 77.4, 154.8, 768),
    _card("MI300X", r"\bMI300X\b", 163.4, 653.7, 1_307.4, 5_300),
    _card("RTX 5090", r"\b5090\b", 104.8, 104.8, 209.5, 1_792),
    _card("RTX 4090", r"\b4090\b", 82.6, 82.6, 165.2, 1_008),
    _card("RTX 3090", r"\b3090\b", 35.6, 35.6, 71, 936),
    _card("A10G", r"\bA10G\b", 35, 35, 70, 600),
    _card("A10", r"\bA10\b", 31.2, 62.5, 125, 600),
    _card("L4", r"\bL4\b", 30.3, 60, 121, 300),
    _card("V100", r"\bV100\b", 15.7, 15.7, 15.7, 900),
    _card("T4", r"\bT4\b", 8.1, 8.1, 8.1, 320),
)
"""Cards by name, the more special patterns first."""

CPU_SHEETS = (
    Datasheet(
        "fast CPU",
        CPU,
        4e12,
        4e12,
        16e12,
        400e9,
        "a server of today at its best; no one data sheet",
        "assumed",
    ),
    Datasheet(
        "slow CPU", CPU, 40e9, 40e9, 40e9, 10e9, "two slow cores with AVX2; no one data sheet", "assumed"
    ),
)
"""The upper and the lower end of processors."""


def find_datasheet(name: str, device_type: str) -> tuple[Datasheet, ...]:
    """The sheet of the named card; all known ones where no card is named or none is known by the name."""
    if device_type == "cpu":
        return CPU_SHEETS
    if re.search(r"\bMIG\b|\d+g\.\d+gb", name, re.IGNORECASE):
        return DATASHEETS  # a slice has a part of its card's peaks, of which no sheet says how much
    found = next((sheet for sheet in DATASHEETS if re.search(sheet.pattern, name, re.IGNORECASE)), None)
    return (found,) if found else DATASHEETS
