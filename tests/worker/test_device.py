import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from worker.device import describe_device, memory_in_use
from worker.ppo.device import count_ram_bytes

ROOT = Path(__file__).parents[2]


class Properties(NamedTuple):
    """Of torch's device properties, what is read."""

    name: str
    total_memory: int


def test_the_command_prints_one_json_document() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "worker.device"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    described = json.loads(done.stdout)
    assert set(described) == {"tier", "device", "versions"}
    assert described["versions"]["torch"] == str(torch.__version__)
    assert done.stderr == ""


def test_a_card_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Properties("NVIDIA A100-SXM4-80GB", 85_100_000_000)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    described = describe_device()
    assert described["tier"] == "a100"
    assert described["device"]["type"] == "cuda"
    assert described["device"]["name"] == card.name
    assert described["device"]["total_bytes"] == card.total_memory
    assert "A100" in described["device"]["reason"]


def test_a_machine_without_a_card_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    described = describe_device()
    assert described["tier"] == "cpu"
    assert described["device"]["total_bytes"] == count_ram_bytes()
    assert all(isinstance(version, str) for version in described["versions"].values())


def test_memory_in_use_on_a_cpu_is_what_the_process_holds() -> None:
    before = memory_in_use(torch.device("cpu"))
    held = torch.ones(32 << 20)  # 128 MiB, written
    after = memory_in_use(torch.device("cpu"))
    assert before > 1 << 20
    assert after - before > 100 << 20
    assert held.sum() > 0
