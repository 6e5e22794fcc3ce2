"""Cards by name: the brief's list, its aliases, and sizes that agree with the tiers."""

import re

import pytest

from app.errors import InvalidInput
from app.network.fits.cards import CARDS, find_card
from app.network.tiers import TIERS

WANTED = {
    "T4": "low",
    "L4": "medium",
    "A10G": "medium",
    "RTX 3090": "medium",
    "RTX 4090": "medium",
    "RTX 5090": "medium",
    "L40S": "high",
    "A100 40 GB": "a100",
    "A100 80 GB": "a100",
    "H100 PCIe": "h100",
    "H100 SXM": "h100",
    "H100 NVL": "h100",
    "H200": "h100",
    "GH200": "h100",
    "B200": "h100",
    "MI300X": "high",
    "MIG 1g.5gb": "low",
    "MIG 2g.20gb": "medium",
    "MIG 3g.40gb": "high",
}


@pytest.mark.parametrize(("name", "tier"), WANTED.items())
def test_every_card_of_the_notes_is_known_with_its_tier(name: str, tier: str) -> None:
    card = find_card(name)
    assert card.name == name
    assert card.tier.name == tier


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("t4", "T4"),
        ("Tesla T4", "T4"),
        ("NVIDIA A100-SXM4-80GB", "A100 80 GB"),
        ("a100-80", "A100 80 GB"),
        ("A100 80GB PCIe", "A100 80 GB"),
        ("a100", "A100 40 GB"),
        ("h100", "H100 PCIe"),
        ("NVIDIA H100 80GB HBM3", "H100 SXM"),
        ("nvidia geforce rtx 4090", "RTX 4090"),
        ("4090", "RTX 4090"),
        ("AMD Instinct MI300X", "MI300X"),
        ("1G.10GB", "MIG 1g.10gb"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "MIG 1g.5gb"),
        ("4g.40gb", "MIG 3g.40gb"),
    ],
)
def test_a_card_is_found_in_any_spelling(spelling: str, name: str) -> None:
    assert find_card(spelling).name == name


def test_a_name_for_several_cards_means_the_smallest() -> None:
    for family in ("a100", "h100", "v100"):
        kin = [card for card in CARDS if card.name.lower().startswith(family)]
        assert len(kin) > 1
        assert find_card(family).bytes == min(card.bytes for card in kin)


@pytest.mark.parametrize("name", ["t44", "rtx 5080", "", "x" * 500, "h10"])
def test_an_unknown_card_is_answered_with_near_ones(name: str) -> None:
    with pytest.raises(InvalidInput, match="no card is known as") as caught:
        find_card(name)
    assert caught.value.pointer == "gpu"
    assert "memory_bytes" in caught.value.hint
    nearest = caught.value.extra["nearest"]
    assert nearest
    assert all(find_card(each).name == each for each in nearest)
    assert len(caught.value.detail) < 120
    if name == "t44":
        assert nearest[0] == "T4"


def test_each_number_has_a_source_and_a_basis() -> None:
    for card in CARDS:
        assert card.basis == "assumed"  # none was ever at hand
        assert re.search(r"\d", card.source), card.name


def test_no_whole_card_of_a_tier_is_smaller_than_what_its_jobs_are_checked_against() -> None:
    for card in CARDS:
        if not card.is_slice:
            assert card.bytes >= card.tier.smallest_bytes, card.name
    assert find_card("t4").bytes == TIERS["low"].smallest_bytes
    assert find_card("a100-40").bytes == TIERS["a100"].smallest_bytes


def test_no_two_cards_share_a_name() -> None:
    names = [name.lower() for card in CARDS for name in (card.name, *card.aliases)]
    assert len(set(names)) == len(names)
    assert all(find_card(name).name == card.name for card in CARDS for name in (card.name, *card.aliases))


def test_turing_and_volta_have_no_bf16() -> None:
    assert {card.name for card in CARDS if not card.multiplies_bf16} == {"T4", "V100 16 GB", "V100 32 GB"}
