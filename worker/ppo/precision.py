"""The arithmetic of the network: fp32, tf32 or bf16, the same words on every device."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch

from app.network.config import Precision

_LOGGER = logging.getLogger(__name__)

BF16_CAPABILITY = (8, 0)
"""CUDA compute capability from which on tensor cores multiply bf16 (Ampere)."""


def choose_precision(precision: Precision, device: torch.device) -> Precision:
    """What `auto` means on this device, logged with its reason; any other precision as it is.

    By what the device can do, not by a stopwatch: a resumed run must choose the same again.
    """
    if precision != "auto":
        return precision
    able = _multiplies_bf16(device)
    chosen: Precision = "bf16" if able else "fp32"
    has = "has" if able else "has no"
    _LOGGER.info("precision: %s, as this %s %s instructions for bf16 products", chosen, device.type, has)
    return chosen


def _multiplies_bf16(device: torch.device) -> bool:
    """Without such instructions bf16 products are emulated, several times slower than fp32's."""
    if device.type == "cuda":
        return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= BF16_CAPABILITY
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """How matrices are multiplied on a device.

    bf16 is autocast: weights, losses and the optimizer stay fp32, and bf16's range needs no gradient
    scaling; products that autocast leaves in fp32 take tf32 on CUDA, whose mantissa is the longer one. tf32
    is fp32 with CUDA's shorter mantissa in products; on a CPU it is fp32.
    """

    precision: Precision
    device: torch.device

    def forward(self) -> AbstractContextManager[object]:
        """To be held around each pass through the network, its loss included."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    @contextmanager
    def products(self) -> Iterator[None]:
        """To be held around an update: chooses CUDA's matrix products and puts the caller's choice back."""
        if self.device.type != "cuda":
            yield
            return
        matmul = torch.backends.cuda.matmul
        before = matmul.fp32_precision
        matmul.fp32_precision = "ieee" if self.precision == "fp32" else "tf32"
        try:
            yield
        finally:
            matmul.fp32_precision = before
