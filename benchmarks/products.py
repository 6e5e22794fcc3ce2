"""Counting the floating point operations of matrix products as they are executed, and the machine's peak in them."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


class ProductCounter(FlopCounterMode):
    """Counts every matrix product run within it, whatever the algorithm: 2 for a multiplication and an addition."""

    def __init__(self) -> None:
        super().__init__(display=False, custom_mapping={torch.ops.aten.addmm_: _addmm})

    @property
    def flops(self) -> int:
        """So far."""
        return self.get_total_flops()


def _addmm(_out: Any, a: Any, b: Any, **_: Any) -> int:
    return 2 * a[0] * a[1] * b[1]


def measure_peak(
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    sizes: tuple[int, ...] = (2048, 4096),
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """FLOP/s of the fastest of several large square matrix products."""
    return max(_time_product(size, device, dtype, clock) for size in sizes)


def _time_product(
    size: int, device: str, dtype: torch.dtype, clock: Callable[[], float], repeats: int = 5
) -> float:
    a, b = torch.randn((2, size, size), device=device).to(dtype)
    out = torch.empty_like(a)
    best = float("inf")
    for turn in range(repeats + 1):
        _wait(device)
        started = clock()
        torch.mm(a, b, out=out)
        _wait(device)
        best = best if turn == 0 else min(best, clock() - started)
    return 2 * size**3 / best


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()
