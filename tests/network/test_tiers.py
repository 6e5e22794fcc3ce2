import pytest

from app.defaults import CPU_MEMORY_BYTES
from app.errors import InvalidInput
from app.network.fits.cards import find_card
from app.network.tiers import TIERS, a100_hidden_dims, detect_tier, find_tier, list_tiers
from app.settings import Settings

GIB, MIB = 1 << 30, 1 << 20

READINGS = [
    ("NVIDIA H100 PCIe", 85_028_765_696),
    ("NVIDIA H100 80GB HBM3", 84_929_000_000),
    ("NVIDIA H100 NVL", 99_949_740_032),
    ("NVIDIA H200", 150_121_545_728),
    ("NVIDIA GH200 480GB", 101_468_602_368),
    ("NVIDIA B200", 191_510_282_240),
    ("NVIDIA A100-SXM4-80GB", 85_095_874_560),
    ("NVIDIA A100-PCIE-40GB", 42_298_834_944),
    ("NVIDIA L40S", 47_697_362_944),
    ("NVIDIA RTX A6000", 50_925_535_232),
    ("AMD Instinct MI300X", 205_822_885_888),
    ("NVIDIA L4", 23_574_151_168),
    ("NVIDIA A10G", 23_609_475_072),
    ("NVIDIA GeForce RTX 3090", 25_433_669_632),
    ("NVIDIA GeForce RTX 4090", 25_393_692_672),
    ("NVIDIA GeForce RTX 5090", 33_669_513_216),
    ("Tesla T4", int(14.75 * GIB)),
    ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", 10_468_982_784),
    ("NVIDIA A100-SXM4-80GB MIG 2g.20gb", 20_937_965_568),
    ("NVIDIA A100-SXM4-80GB MIG 3g.40gb", 42_144_366_592),
    ("NVIDIA L4", 23_583_784_960),
    ("NVIDIA GeForce RTX 5090", 32_106 * MIB),
    ("NVIDIA A10G", 22_587 * MIB),
    ("NVIDIA H100 80GB HBM3", 81_082 * MIB),
    ("NVIDIA GeForce RTX 3090", 24_259 * MIB),
    ("NVIDIA A100-SXM4-80GB", int(79.135 * GIB)),
    ("NVIDIA L40S", int(44.395 * GIB)),
    ("NVIDIA GeForce RTX 4090", int(23.515 * GIB)),
    ("NVIDIA RTX PRO 6000", int(94.965 * GIB)),
    ("Tesla V100-SXM2-32GB", int(31.735 * GIB)),
]
"""Names and memory as drivers reported them, in bytes; of those printed with two places the lowest that was meant."""


@pytest.mark.parametrize(
    ("name", "total_bytes", "tier"),
    [
        ("NVIDIA H100 PCIe", 85_028_765_696, "h100"),
        ("NVIDIA H100 80GB HBM3", 84_929_000_000, "h100"),
        ("NVIDIA H100 NVL", 99_949_740_032, "h100"),
        ("NVIDIA H200", 150_121_545_728, "h100"),
        ("NVIDIA GH200 480GB", 101_468_602_368, "h100"),
        ("NVIDIA B200", 191_510_282_240, "h100"),
        ("NVIDIA A100-SXM4-80GB", 85_095_874_560, "a100"),
        ("NVIDIA A100-PCIE-40GB", 42_298_834_944, "a100"),
        ("NVIDIA L40S", 47_697_362_944, "high"),
        ("NVIDIA RTX A6000", 50_925_535_232, "high"),
        ("AMD Instinct MI300X", 205_822_885_888, "high"),
        ("NVIDIA L4", 23_574_151_168, "medium"),
        ("NVIDIA A10G", 23_609_475_072, "medium"),
        ("NVIDIA GeForce RTX 3090", 25_433_669_632, "medium"),
        ("NVIDIA GeForce RTX 4090", 25_393_692_672, "medium"),
        ("NVIDIA GeForce RTX 5090", 33_669_513_216, "medium"),
        ("Tesla T4", int(14.75 * GIB), "low"),
        ("NVIDIA RTX A1000 Laptop GPU", 4 * GIB, "low"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", 10_468_982_784, "low"),
        ("NVIDIA A100-SXM4-80GB MIG 2g.20gb", 20_937_965_568, "medium"),
        ("NVIDIA A100-SXM4-80GB MIG 3g.40gb", 42_144_366_592, "high"),
        ("GRID A100-10C", 10 * GIB, "low"),
        ("cpu", 0, "cpu"),
        ("CPU", 64 * GIB, "cpu"),
        ("", 0, "cpu"),
        ("", 40_000_000_000, "high"),
        ("", 39_999_999_999, "medium"),
        ("", 20_000_000_000, "medium"),
        ("", 19_999_999_999, "low"),
    ],
)
def test_every_card_has_its_tier(name: str, total_bytes: int, tier: str) -> None:
    found = detect_tier(name, total_bytes)
    assert found.tier is TIERS[tier]
    assert tier in found.reason or (tier == "cpu" and "CPU" in found.reason)


@pytest.mark.parametrize(("name", "total_bytes"), READINGS)
def test_no_reading_is_below_what_a_card_is_said_to_have(name: str, total_bytes: int) -> None:
    assert find_card(name).bytes <= total_bytes


def test_an_a100_40_is_forty_gigabytes_but_not_forty_gibibytes() -> None:
    size = 42_298_834_944
    assert size >= 40e9
    assert size < 40 * GIB
    assert detect_tier("an unknown card", size).tier.name == "high"


@pytest.mark.parametrize(
    ("tier", "hidden_dims"),
    [
        ("h100", (1024, 512, 256)),
        ("a100", (1024, 512, 256)),
        ("high", (512, 256, 128)),
        ("medium", (512, 256, 128)),
        ("low", (256, 128, 64)),
        ("cpu", (256, 128, 64)),
    ],
)
def test_the_notes_defaults(tier: str, hidden_dims: tuple[int, ...]) -> None:
    assert TIERS[tier].hidden_dims == hidden_dims


def test_smallest_cards_belong_to_their_own_tier() -> None:
    for tier in TIERS.values():
        name = "cpu" if tier.name == "cpu" else tier.smallest_card.removesuffix(" MIG slice")
        assert detect_tier(name, tier.smallest_bytes).tier is tier


def test_the_cpu_has_what_a_service_grants_by_default() -> None:
    assert TIERS["cpu"].smallest_bytes == CPU_MEMORY_BYTES == Settings().cpu_memory_bytes


def test_the_cpu_has_what_is_granted_and_the_cards_what_they_have() -> None:
    *cards, cpu = list_tiers(5_000_000_000)
    assert [*cards, TIERS["cpu"]] == list(TIERS.values())
    assert (cpu.name, cpu.smallest_bytes) == ("cpu", 5_000_000_000)


def test_the_notes_a100_config() -> None:
    assert a100_hidden_dims(85_095_874_560) == (1024, 512, 256)
    assert a100_hidden_dims(42_298_834_944) == (512, 256, 128)


def test_an_unknown_tier_is_named_with_the_known_ones() -> None:
    assert find_tier("low") is TIERS["low"]
    with pytest.raises(InvalidInput, match="'huge'") as caught:
        find_tier("huge")
    assert "h100" in caught.value.hint


def test_negative_memory_is_refused() -> None:
    with pytest.raises(InvalidInput):
        detect_tier("NVIDIA L4", -1)
