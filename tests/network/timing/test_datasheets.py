"""Which data sheet a device's name leads to, and bounds computed by hand."""

import pytest

from app.network.fits.cards import CARDS
from app.network.timing.datasheets import DATASHEETS, find_datasheet


@pytest.mark.parametrize(
    ("name", "sheet"),
    [
        ("NVIDIA H100 80GB HBM3", "H100 SXM"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H200", "H200 SXM"),
        ("NVIDIA A100-SXM4-80GB", "A100 80 GB"),
        ("NVIDIA A100-PCIE-40GB", "A100 40 GB"),
        ("Tesla T4", "T4"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA A10G", "A10G"),
        ("Tesla V100-SXM2-16GB", "V100"),
    ],
)
def test_drivers_names_lead_to_their_sheet(name: str, sheet: str) -> None:
    assert [found.name for found in find_datasheet(name, "cuda")] == [sheet]


def test_unknown_names_and_slices_are_bounded_by_all_cards() -> None:
    for name in ("", "GeForce 256", "MIG 3g.20gb", "NVIDIA H100 80GB HBM3 MIG 1g.10gb"):
        assert find_datasheet(name, "cuda") == DATASHEETS
    assert len(find_datasheet("", "cpu")) == 2


def test_every_card_that_is_sized_has_bounds() -> None:
    for card in CARDS:
        assert find_datasheet(card.name, "cuda")


def test_bounds_by_hand() -> None:
    (t4,) = find_datasheet("T4", "cuda")
    best, worst = t4.seconds(8.1e12, 320e9, "fp32", steps=10, minibatches=4)
    assert best == pytest.approx(1 / 0.8)
    assert worst == pytest.approx(1 / 0.05 + 1 / 0.05 + 10 * 5e-3 + 4 * 1e-2)
    launching, _ = t4.seconds(1.0, 1.0, "fp32", steps=10, minibatches=4)
    assert launching == pytest.approx(10 * 2e-4 + 4 * 5e-4)


def test_a_precision_without_instructions_is_no_faster_than_fp32() -> None:
    for sheet in DATASHEETS:
        assert sheet.peak("bf16") >= sheet.peak("tf32") >= sheet.peak("fp32") > 0
        assert sheet.bandwidth > 1e11
