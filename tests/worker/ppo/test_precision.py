import pytest
import torch

from worker.ppo.precision import Arithmetic

MATMUL = torch.backends.cuda.matmul


def test_bf16_is_autocast_and_the_others_are_not() -> None:
    left, right = torch.randn(4, 4), torch.randn(4, 4)
    for precision, dtype in (("fp32", torch.float32), ("tf32", torch.float32), ("bf16", torch.bfloat16)):
        with Arithmetic(precision, torch.device("cpu")).forward():
            assert (left @ right).dtype == dtype
    assert (left @ right).dtype == torch.float32


# The switch exists without a card too, so what CUDA would be told can be checked anywhere.
@pytest.mark.parametrize(("precision", "expected"), [("fp32", "ieee"), ("tf32", "tf32"), ("bf16", "ieee")])
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
