"""Graphics cards by name: the memory that torch sees on each, where that number comes from, and its tier.

A card's memory is what the driver leaves to programs (`torch.cuda.get_device_properties(0).total_memory`), not what
the box says: a T4 "16 GB" has 15.66 GB. Drivers differ by up to 1 %; the lowest reading found is taken, so that
what is said to fit does.
"""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any, ClassVar, Literal

from app.errors import InvalidInput
from app.network.shape import DOCUMENTED
from app.network.tiers import Tier, TierName, detect_tier

MIB = 1 << 20

Basis = Literal["measured", "assumed"]

NEAREST_NAMES = 3
"""How many similar names an unknown one is answered with."""

_READ = "total_memory as torch printed it, the lowest found: "
_MIG = "nvidia-smi mig -lgip, the lowest among the cards that have this slice: "


@dataclass(frozen=True)
class Card:
    """A graphics card, or a MIG slice of one."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """Its usual name."""
    aliases: tuple[str, ...]
    """Other names by which it is found, in any case and with or without blanks."""
    bytes: int
    """Memory that a program can have on it."""
    basis: Basis
    """Whether a driver said so, or it follows from a data sheet."""
    source: str
    """Who read it, or what it is derived from."""
    compute: str
    """CUDA compute capability, or AMD's architecture."""

    @cached_property
    def tier(self) -> Tier:
        """The tier that a worker on it would have."""
        return detect_tier(self.name, self.bytes).tier

    @property
    def is_slice(self) -> bool:
        """Whether it is a MIG slice."""
        return self.name.startswith("MIG ")

    @property
    def tier_name(self) -> TierName:
        """Name of that tier."""
        return self.tier.name

    @property
    def multiplies_bf16(self) -> bool:
        """Whether it has instructions for bf16 and tf32: NVIDIA from Ampere (8.0) on, AMD's CDNA3."""
        return self.compute not in {"7.0", "7.5"}


CARDS: tuple[Card, ...] = (
    Card("T4", ("t4 16gb",), 14_930 * MIB, "measured", _READ + "14,930 to 15,109 MiB by driver", "7.5"),
    Card(
        "V100 16 GB",
        ("v100", "v100 sxm2 16gb", "v100 pcie 16gb"),
        16_130 * MIB,
        "measured",
        _READ + "16,130 MiB",
        "7.0",
    ),
    Card(
        "V100 32 GB",
        ("v100 sxm2 32gb", "v100 pcie 32gb"),
        32_480 * MIB,
        "assumed",
        "32,768 MiB less what the 16 GB card keeps back",
        "7.0",
    ),
    Card("A10", ("a10 24gb",), 22_517 * MIB, "measured", _READ + "21.99 GiB", "8.6"),
    Card("A10G", ("a10g 24gb",), 22_587 * MIB, "measured", _READ + "22,587 to 22,723 MiB", "8.6"),
    Card(
        "L4",
        ("l4 24gb",),
        22_500 * MIB,
        "assumed",
        "nvidia-smi's 23,034 MiB less the 530 MiB that cards of its kind keep back",
        "8.9",
    ),
    Card("RTX 3090", ("3090",), 24_259 * MIB, "measured", _READ + "24,259 MiB", "8.6"),
    Card("RTX 4090", ("4090",), 24_084 * MIB, "measured", _READ + "23.52 to 23.68 GiB", "8.9"),
    Card("RTX 5090", ("5090",), 32_112 * MIB, "measured", _READ + "31.36 GiB", "12.0"),
    Card(
        "RTX A6000",
        ("a6000",),
        48_500 * MIB,
        "assumed",
        "48,676 MiB read once, less 176 MiB as drivers differ",
        "8.6",
    ),
    Card(
        "L40S",
        ("l40s 48gb", "l40"),
        45_465 * MIB,
        "measured",
        _READ + "44.40 GiB (L40), 45,589 MiB (L40S)",
        "8.9",
    ),
    Card(
        "RTX PRO 6000",
        ("rtx pro 6000 blackwell", "rtx pro 6000 blackwell server edition"),
        97_250 * MIB,
        "measured",
        _READ + "97,250 MiB",
        "12.0",
    ),
    Card(
        "A100 40 GB",
        ("a100", "a100-40", "a100-40gb", "a100-sxm4-40gb", "a100-pcie-40gb"),
        42_298_834_944,
        "measured",
        "deviceQuery: 42298834944 bytes (bottlerocket pull 3873)",
        "8.0",
    ),
    Card(
        "A100 80 GB",
        ("a100-80", "a100-80gb", "a100-sxm4-80gb", "a100 80gb pcie"),
        81_039 * MIB,
        "measured",
        _READ + "79.14 GiB",
        "8.0",
    ),
    Card(
        "H100 PCIe",
        ("h100", "h100-80", "h100 pcie 80gb"),
        81_008 * MIB,
        "measured",
        _READ + "81,008 MiB",
        "9.0",
    ),
    Card(
        "H100 SXM",
        ("h100 80gb hbm3", "h100 sxm5"),
        81_082 * MIB,
        "measured",
        _READ + "81,082 to 81,090 MiB",
        "9.0",
    ),
    Card(
        "H100 NVL",
        ("h100 nvl 94gb",),
        95_300 * MIB,
        "assumed",
        "nvidia-smi's 95,830 MiB less the 530 MiB that cards of its kind keep back",
        "9.0",
    ),
    Card(
        "H200",
        ("h200 sxm", "h200 nvl", "h200 141gb"),
        143_156 * MIB,
        "measured",
        _READ + "143,156 MiB",
        "9.0",
    ),
    Card(
        "GH200",
        ("gh200 96gb", "gh200 480gb"),
        96_768 * MIB,
        "assumed",
        "96 GB of HBM3 as 94.5 GiB: nvidia-smi's 97,871 MiB less 1,103",
        "9.0",
    ),
    Card("B200", ("b200 180gb",), 182_631 * MIB, "measured", _READ + "182,631 to 182,642 MiB", "10.0"),
    Card(
        "MI300X",
        ("mi300x vf", "instinct mi300x"),
        196_592 * MIB,
        "measured",
        _READ + "196,592 MiB (ROCm)",
        "gfx942",
    ),
    Card("MIG 1g.5gb", ("1g.5gb",), 4_864 * MIB, "measured", _MIG + "4.75 GiB (A100 40 GB)", "8.0"),
    Card("MIG 1g.10gb", ("1g.10gb",), 9_728 * MIB, "measured", _MIG + "9.50 GiB (A100 80 GB)", "8.0"),
    Card("MIG 2g.10gb", ("2g.10gb",), 9_850 * MIB, "measured", _MIG + "9.62 GiB (A100 40 GB)", "8.0"),
    Card("MIG 1g.18gb", ("1g.18gb",), 16_384 * MIB, "measured", _MIG + "16.00 GiB (H200)", "9.0"),
    Card("MIG 1g.20gb", ("1g.20gb",), 19_968 * MIB, "measured", _MIG + "19.50 GiB (A100 80 GB)", "8.0"),
    Card("MIG 2g.20gb", ("2g.20gb",), 19_968 * MIB, "measured", _MIG + "19.50 GiB (A100 80 GB)", "8.0"),
    Card(
        "MIG 3g.20gb",
        ("3g.20gb", "4g.20gb"),
        19_968 * MIB,
        "measured",
        _MIG + "19.50 GiB (A100 40 GB)",
        "8.0",
    ),
    Card(
        "MIG 3g.40gb",
        ("3g.40gb", "4g.40gb"),
        40_192 * MIB,
        "measured",
        _MIG + "39.25 GiB (A100 80 GB)",
        "8.0",
    ),
    Card("MIG 7g.40gb", ("7g.40gb",), 40_192 * MIB, "measured", _MIG + "39.25 GiB (A100 40 GB)", "8.0"),
    Card("MIG 7g.80gb", ("7g.80gb",), 80_640 * MIB, "measured", _MIG + "78.75 GiB (A100 80 GB)", "8.0"),
)
"""All cards that are known by name. A name that fits several, such as `a100`, means the smallest of them."""


def find_card(name: str) -> Card:
    """The card of this name or alias, in any spelling of case, blanks and vendor.

    Raises InvalidInput with the nearest names.
    """
    part = _SLICE.search(name.lower())
    card = _BY_KEY.get(_key(part[0] if part else name))
    if card is not None:
        return card
    shown = name if len(name) <= 60 else f"{name[:60]}…"
    near = dict.fromkeys(_BY_KEY[key].name for key in get_close_matches(_key(name), _BY_KEY, 8, 0.4))
    nearest = list(near)[:NEAREST_NAMES] or [card.name for card in CARDS if not card.is_slice]
    hint = f"nearest: {', '.join(nearest)}; or give memory_bytes instead of a name"
    raise InvalidInput(f"no card is known as {shown!r}", hint=hint, pointer="gpu", nearest=nearest)


_SLICE = re.compile(r"\d+g\.\d+gb")


def _key(name: str) -> str:
    """`NVIDIA A100-SXM4-80GB` and `a100 sxm4 80gb` are one."""
    plain = re.sub(r"\b(nvidia|geforce|tesla|amd|instinct|quadro|rtx|mig)\b", " ", name.lower())
    return re.sub(r"[^a-z0-9.]", "", plain)


_BY_KEY: dict[str, Card] = {_key(name): card for card in CARDS for name in (card.name, *card.aliases)}
