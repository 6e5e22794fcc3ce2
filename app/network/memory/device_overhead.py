"""Device memory outside the tensors' sum: each constant with its source, and whether it was measured."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from app.network.shape import DOCUMENTED

DeviceType = Literal["cpu", "cuda"]

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Overhead:
    """Memory that a run needs beside its tensors."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """What takes it."""
    bytes: int
    """How much."""
    basis: Literal["measured", "assumed"]
    """Whether the number was read from a device or is a cautious assumption."""
    source: str
    """Where it comes from."""


CUDA_OVERHEADS = (
    Overhead(
        "CUDA context",
        400_000_000,
        "assumed",
        "300 to 400 MB by GPU and driver; the upper end until a worker has probed its own",
    ),
    Overhead(
        "cuBLAS workspace",
        32 * MIB,
        "assumed",
        "torch's aten/src/ATen/cuda/CublasHandlePool.cpp: 32 MiB on compute capability 9.0, 8,519,680 B on other NVIDIA cards, "
        "128 MiB on AMD's gfx94; not read on a card",
    ),
    Overhead(
        "allocator segments",
        22 * MIB,
        "assumed",
        "c10/cuda/CUDACachingAllocator: a partly filled 2 MiB and a 20 MiB segment",
    ),
)
"""What a CUDA process holds beside its tensors, in fp32 on one GPU without CUDA graphs."""

CPU_OVERHEADS = (
    Overhead(
        "process",
        452 * MIB,
        "measured",
        "`benchmarks/memory.py process`: peak resident size of a worker (Python, torch, the service's modules) after "
        "the smallest training, one thread, 2 vCPU AMD EPYC",
    ),
    Overhead(
        "heap",
        62 * MIB,
        "measured",
        "the same command: the most that a run's peak lay above process and tensors; free parts of the heap, which "
        "glibc is told to keep (worker/ppo/allocator.py), and the products' own buffers",
    ),
)
"""What a CPU training process holds beside its tensors."""

MARGIN_SHARE = 0.10
"""Part of the tensors' sum added against fragmentation and what torch's kernels allocate unseen by a tracker; assumed,
as no card was at hand."""


def device_overheads(device_type: DeviceType, tensor_bytes: int) -> tuple[Overhead, ...]:
    """The constants of a device, and the margin on `tensor_bytes`."""
    constants = CPU_OVERHEADS if device_type == "cpu" else CUDA_OVERHEADS
    margin = Overhead(
        "margin",
        round(tensor_bytes * MARGIN_SHARE),
        "assumed",
        f"{MARGIN_SHARE:.0%} against fragmentation and kernels' own buffers",
    )
    return (*constants, margin)
