"""Graphics cards by name: the memory that torch sees on each, where that number comes from, and its tier.

A card's memory is what the driver leaves to programs (`torch.cuda.get_device_properties(0).total_memory`), not what
the box says: a T4 "16 GB" has 15.66 GB. Drivers differ by up to 1 %; the lowest reading found is taken, and of one that
torch printed with two places the lowest that it can stand for, so that what is said to fit does.

No card was at hand: all readings are others', from issues on GitHub where an address is given, and `assumed` therefore.
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

_READ = "others' torch or deviceQuery, lowest found: "
_MIG = "others' nvidia-smi mig -lgip, lowest found: "


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
    """`measured` where we read it on the card itself, `assumed` where others did or it follows from their readings."""
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
    Card("T4", ("t4 16gb",), 14_930 * MIB, "assumed", _READ + "14,930 to 15,109 MiB by driver", "7.5"),
    Card(
        "V100 16 GB",
        ("v100", "v100 sxm2 16gb", "v100 pcie 16gb"),
        16_130 * MIB,
        "assumed",
        _READ + "16,130 MiB",
        "7.0",
    ),
    Card(
        "V100 32 GB",
        ("v100 sxm2 32gb", "v100 pcie 32gb"),
        32_480 * MIB,
        "assumed",
        "32,768 MiB less 288; others' torch printed 31.74 GiB (liucongg/ChatGLM-Finetuning issue 73)",
        "7.0",
    ),
    Card("A10", ("a10 24gb",), 22_512 * MIB, "assumed", _READ + "21.99 GiB", "8.6"),
    Card("A10G", ("a10g 24gb",), 22_515 * MIB, "assumed", _READ + "22,515 to 22,723 MiB by driver", "8.6"),
    Card(
        "L4",
        ("l4 24gb",),
        22_482 * MIB,
        "assumed",
        _READ + "22,482 MiB; 22,491 in bottlerocket-os/bottlerocket-kernel-kit pull 139",
        "8.9",
    ),
    Card(
        "RTX 3090",
        ("3090",),
        24_255 * MIB,
        "assumed",
        _READ + "24,255 to 24,259 MiB; 23.69 GiB in JiaweiLian/AP-PA issue 3",
        "8.6",
    ),
    Card(
        "RTX 4090",
        ("4090",),
        24_079 * MIB,
        "assumed",
        _READ + "23.52 to 23.68 GiB; 23.61 in pinokiofactory/flux-webui issue 11",
        "8.9",
    ),
    Card(
        "RTX 5090",
        ("5090",),
        32_106 * MIB,
        "assumed",
        _READ + "32,106 MiB, ggml-org/llama.cpp issue 17536",
        "12.0",
    ),
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
        45_460 * MIB,
        "assumed",
        _READ
        + "44.40 GiB (L40, QwenLM/Qwen3-VL issue 2097), 44.42 GiB (L40S, stepfun-ai/Step-Video-T2V issue 8)",
        "8.9",
    ),
    Card(
        "RTX PRO 6000",
        ("rtx pro 6000 blackwell", "rtx pro 6000 blackwell server edition"),
        97_244 * MIB,
        "assumed",
        _READ + "94.97 GiB, antirez/ds4 issue 431",
        "12.0",
    ),
    Card(
        "A100 40 GB",
        ("a100", "a100-40", "a100-40gb", "a100-sxm4-40gb", "a100-pcie-40gb"),
        42_298_834_944,
        "assumed",
        _READ + "42298834944 bytes, bottlerocket-os/bottlerocket pull 3873",
        "8.0",
    ),
    Card(
        "A100 80 GB",
        ("a100-80", "a100-80gb", "a100-sxm4-80gb", "a100 80gb pcie"),
        81_034 * MIB,
        "assumed",
        _READ + "79.14 GiB, lianqi1008/Control-GIC issue 6",
        "8.0",
    ),
    Card(
        "H100 PCIe",
        ("h100", "h100-80", "h100 pcie 80gb"),
        80_994 * MIB,
        "assumed",
        _READ + "81,008 MiB; taken is the SXM card's lowest, as both are called H100",
        "9.0",
    ),
    Card(
        "H100 SXM",
        ("h100 80gb hbm3", "h100 sxm5"),
        80_994 * MIB,
        "assumed",
        _READ + "80,994 to 81,090 MiB by driver",
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
        "assumed",
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
    Card("B200", ("b200 180gb",), 182_631 * MIB, "assumed", _READ + "182,631 to 182,642 MiB", "10.0"),
    Card(
        "MI300X",
        ("mi300x vf", "instinct mi300x"),
        196_288 * MIB,
        "assumed",
        _READ + "196,288 to 196,592 MiB (ROCm)",
        "gfx942",
    ),
    Card("MIG 1g.5gb", ("1g.5gb",), 4_864 * MIB, "assumed", _MIG + "4.75 GiB (A100 40 GB)", "8.0"),
    Card("MIG 1g.10gb", ("1g.10gb",), 9_728 * MIB, "assumed", _MIG + "9.50 GiB (A100 80 GB)", "8.0"),
    Card("MIG 2g.10gb", ("2g.10gb",), 9_850 * MIB, "assumed", _MIG + "9.62 GiB (A100 40 GB)", "8.0"),
    Card("MIG 1g.18gb", ("1g.18gb",), 16_384 * MIB, "assumed", _MIG + "16.00 GiB (H200)", "9.0"),
    Card("MIG 1g.20gb", ("1g.20gb",), 19_968 * MIB, "assumed", _MIG + "19.50 GiB (A100 80 GB)", "8.0"),
    Card("MIG 2g.20gb", ("2g.20gb",), 19_968 * MIB, "assumed", _MIG + "19.50 GiB (A100 80 GB)", "8.0"),
    Card(
        "MIG 3g.20gb",
        ("3g.20gb", "4g.20gb"),
        19_968 * MIB,
        "assumed",
        _MIG + "19.50 GiB (A100 40 GB)",
        "8.0",
    ),
    Card(
        "MIG 3g.40gb",
        ("3g.40gb", "4g.40gb"),
        40_192 * MIB,
        "assumed",
        _MIG + "39.25 GiB (A100 80 GB)",
        "8.0",
    ),
    Card("MIG 7g.40gb", ("7g.40gb",), 40_192 * MIB, "assumed", _MIG + "39.25 GiB (A100 40 GB)", "8.0"),
    Card("MIG 7g.80gb", ("7g.80gb",), 80_640 * MIB, "assumed", _MIG + "78.75 GiB (A100 80 GB)", "8.0"),
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
