import pytest
import torch

from worker.ppo.precision import Arithmetic, choose_precision

MATMUL = torch.backends.cuda.matmul


def test_bf16_is_autocast_and_the_others_are_not() -> None:
    left, right = torch.randn(4, 4), torch.randn(4, 4)
    for precision, dtype in (("fp32", torch.float32), ("tf32", torch.float32), ("bf16", torch.bfloat16)):
        with Arithmetic(precision, torch.device("cpu")).forward():
            assert (left @ right).dtype == dtype
    assert (left @ right).dtype == torch.float32


# The switch exists without a card too, so what CUDA would be told can be checked anywhere.
@pytest.mark.parametrize(("precision", "expected"), [("fp32", "ieee"), ("tf32", "tf32"), ("bf16", "tf32")])
def test_tf32_is_chosen_on_cuda_only_and_put_back(precision: str, expected: str) -> None:
    before = MATMUL.fp32_precision
    with Arithmetic(precision, torch.device("cuda")).products():
        assert expected == MATMUL.fp32_precision
    assert before == MATMUL.fp32_precision
    with Arithmetic(precision, torch.device("cpu")).products():
        assert before == MATMUL.fp32_precision


def test_the_callers_choice_is_put_back_after_a_failure() -> None:
    before = MATMUL.fp32_precision
    with (
        pytest.raises(KeyError),
        Arithmetic("tf32", torch.device("cuda")).products(),
    ):
        raise KeyError
    assert before == MATMUL.fp32_precision


@pytest.mark.parametrize(("amx", "avx512", "chosen"), [(0, 0, "fp32"), (0, 1, "bf16"), (1, 0, "bf16")])
def test_auto_is_bf16_where_the_cpu_has_instructions_for_it(
    amx: int, avx512: int, chosen: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: bool(amx))
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bool(avx512))
    with caplog.at_level("INFO"):
        assert choose_precision("auto", torch.device("cpu")) == chosen
    assert f"precision: {chosen}" in caplog.text


@pytest.mark.parametrize(("capability", "chosen"), [((7, 5), "fp32"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_auto_is_bf16_from_ampere_on(
    capability: tuple[int, int], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision("auto", torch.device("cuda")) == chosen


def test_what_was_asked_for_is_kept() -> None:
    for precision in ("fp32", "tf32", "bf16"):
        assert choose_precision(precision, torch.device("cpu")) == precision
