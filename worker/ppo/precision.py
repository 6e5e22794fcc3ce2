"""The arithmetic of the network: fp32, tf32 or bf16, the same words on every device."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch

from app.network.config import Precision


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """How matrices are multiplied on a device.

    bf16 is autocast: weights, losses and the optimizer stay fp32, and bf16's range needs no gradient
    scaling. tf32 is fp32 with CUDA's shorter mantissa in products; on a CPU it is fp32.
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
        matmul.fp32_precision = "tf32" if self.precision == "tf32" else "ieee"
        try:
            yield
        finally:
            matmul.fp32_precision = before
