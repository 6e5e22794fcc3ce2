from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from worker.ppo import device as device_module
from worker.ppo.device import count_ram_bytes, detect_device


class Properties(NamedTuple):
    """Of torch's device properties, what is read."""

    name: str
    total_memory: int


def pretend(monkeypatch: pytest.MonkeyPatch, name: str, total_memory: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Properties(name, total_memory))


@pytest.mark.parametrize(
    ("name", "total_bytes", "tier"),
    [
        ("NVIDIA H100 80GB HBM3", 85_045_870_592, "h100"),
        ("NVIDIA A100-SXM4-40GB", 42_298_834_944, "a100"),
        ("NVIDIA A100-SXM4-80GB MIG 3g.40gb", 42_297_458_688, "high"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", 4_986_503_168, "low"),
        ("AMD Instinct MI300X", 205_822_885_888, "high"),
        ("Tesla T4", 15_637_086_208, "low"),
    ],
)
def test_a_card_is_described_by_name_and_memory(
    monkeypatch: pytest.MonkeyPatch, name: str, total_bytes: int, tier: str
) -> None:
    pretend(monkeypatch, name, total_bytes)
    device = detect_device()
    assert (device.name, device.total_bytes, device.tier.name) == (name, total_bytes, tier)
    assert device.torch_device == torch.device("cuda", 0)
    assert device.reason


def test_without_a_card_it_is_the_cpu_with_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    device = detect_device()
    assert (device.torch_device.type, device.name, device.tier.name) == ("cpu", "cpu", "cpu")
    assert device.total_bytes == count_ram_bytes() > 2**28


@pytest.mark.parametrize(("text", "limits"), [("1073741824\n", [2**30]), ("max\n", [])])
def test_a_containers_limit_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, limits: list[int]
) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(device_module, "_CGROUP_LIMITS", ())
    physical = count_ram_bytes()
    limit.write_text(text)
    monkeypatch.setattr(device_module, "_CGROUP_LIMITS", (limit, tmp_path / "absent"))
    assert count_ram_bytes() == min([physical, *limits])
