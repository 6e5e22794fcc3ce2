"""Finds what would make the host wait for a CUDA device, in code that runs on a CPU."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

READS = {
    aten._local_scalar_dense,  # item, tolist, bool, int, float
    aten.nonzero,
    aten.is_nonzero,
    aten.equal,
    aten.masked_select,
    aten._unique2,
    aten.unique_dim,
    aten.unique_consecutive,
    aten.repeat_interleave,
    aten.bincount,
    aten.multinomial,  # checks its input on the host
    aten.lift_fresh,  # host data made a tensor, which on CUDA is copied there: also x[:, [0, 1]]
}
"""Operations whose result the host needs, or which bring host data to the device."""

INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._unsafe_index}
"""By a mask these count its entries on the host first."""


METHODS = {Tensor.tolist, Tensor.numpy, Tensor.cpu, Tensor.__array__}
"""Of a CPU tensor these are no operations at all."""


class HostCopies(TorchFunctionMode):
    """Notes each method that brings a tensor's content to the host."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in METHODS:
            self.found.append(f"Tensor.{func.__name__} in {find_caller()}")
        return func(*args, **(kwargs or {}))


class HostReads(TorchDispatchMode):
    """Notes each operation that would wait for a device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = func.overloadpacket
        masked = packet in INDEXING and any(
            isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if packet in READS or masked:
            self.found.append(f"{func} in {find_caller()}")
        return func(*args, **(kwargs or {}))


def find_caller() -> str:
    """The innermost line of the worker that is being carried out."""
    frame: Any = sys._getframe(1)
    while frame is not None and "/worker/" not in frame.f_code.co_filename.replace("/tests/worker", ""):
        frame = frame.f_back
    return "a test" if frame is None else f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


@contextmanager
def no_host_reads() -> Iterator[None]:
    """Raise AssertionError, with the operations, if the code inside reads from the device."""
    with HostReads() as reads, HostCopies(reads.found):
        yield
    assert not reads.found, f"these wait for the device: {reads.found}"
