"""Memory that is allocated once and used again by every product of a kind."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


class Workspace:
    """Named buffers that grow to the largest size asked of them.

    A buffer's content lasts until the name is taken again. Fresh memory costs as much as it is written to:
    the system clears and maps each page anew.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self._device = device
        self._dtype = dtype
        self._buffers: dict[str, Tensor] = {}

    def take(self, name: str, size: Sequence[int]) -> Tensor:
        """An uninitialised contiguous tensor of this size."""
        count = math.prod(size)
        held = self._buffers.get(name)
        if held is None or held.numel() < count:
            held = None  # freed, with the line below, before the larger one is made
            self._buffers.pop(name, None)
            held = self._buffers[name] = torch.empty(count, dtype=self._dtype, device=self._device)
        return held[:count].view(*size)

    @property
    def nbytes(self) -> int:
        """Bytes held by all buffers."""
        return sum(buffer.nbytes for buffer in self._buffers.values())
