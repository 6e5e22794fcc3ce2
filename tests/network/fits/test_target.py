"""Which device a question is about, and which parameters contradict each other."""

from typing import Any

import pytest

from app.errors import CaliperError
from app.network.fits.cards import find_card
from app.network.fits.target import choose_target

T4 = find_card("t4").bytes


def test_nothing_said_is_no_device() -> None:
    assert choose_target() is None
    assert choose_target(device="cpu") is None


def test_a_card_brings_its_memory_tier_and_source() -> None:
    target = choose_target(gpu="tesla t4")
    assert target is not None
    assert (target.name, target.device_type, target.bytes, target.basis) == ("T4", "cuda", T4, "assumed")
    assert "14,930" in target.source
    assert target.tier.tier.name == "low"


def test_bytes_alone_decide_tier_and_name() -> None:
    gpu, machine = choose_target(memory_bytes=41 * 10**9), choose_target(memory_bytes=10**9, device="cpu")
    assert gpu is not None
    assert machine is not None
    assert (gpu.name, gpu.tier.tier.name) == ("a GPU with 41.00 GB", "high")
    assert (machine.device_type, machine.tier.tier.name) == ("cpu", "cpu")
    assert (gpu.basis, gpu.source) == ("measured", "as you said")


def test_bytes_near_a_card_s_make_it_more_exact() -> None:
    target = choose_target(gpu="t4", memory_bytes=round(T4 * 1.02))
    assert target is not None
    assert (target.name, target.bytes) == ("T4", round(T4 * 1.02))


@pytest.mark.parametrize(
    ("given", "code", "pointer", "words"),
    [
        ({"gpu": "t44"}, "invalid_input", "gpu", "no card is known as 't44'"),
        ({"gpu": "t4", "device": "cpu"}, "invalid_config", "gpu", "device=cpu contradict"),
        (
            {"gpu": "t4", "memory_bytes": 24 * 10**9},
            "invalid_config",
            "memory_bytes",
            "T4 has 15,655,239,680 B",
        ),
        ({"gpu": "t4", "precision": "bf16"}, "invalid_config", "precision", "no instructions"),
        ({"gpu": "v100", "precision": "tf32"}, "invalid_config", "precision", "no instructions"),
        ({"device": "cpu", "precision": "tf32"}, "invalid_config", "precision", "a CPU has no such"),
        (
            {"device": "cpu", "memory_bytes": 10**10, "precision": "tf32"},
            "invalid_config",
            "precision",
            "device=cpu contradict",
        ),
        ({"memory_bytes": 0}, "invalid_config", "memory_bytes", "memory_bytes is 0"),
        ({"memory_bytes": -5}, "invalid_config", "memory_bytes", "memory_bytes is -5"),
        ({"memory_bytes": 1 << 60}, "invalid_config", "memory_bytes", "memory_bytes is"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], code: str, pointer: str, words: str) -> None:
    with pytest.raises(CaliperError) as caught:
        choose_target(**given)
    assert (caught.value.code, caught.value.pointer) == (code, pointer)
    assert words in caught.value.detail
    assert caught.value.hint


def test_what_a_card_can_do_is_not_refused() -> None:
    assert choose_target(gpu="l4", precision="bf16") is not None
    assert choose_target(gpu="t4", precision="auto") is not None
    assert choose_target(device="cpu", memory_bytes=10**10, precision="bf16") is not None
