"""Every constant that enters an estimate, in one list: its value, its unit, where it comes from, and on what basis.

The values are those of the modules that reckon with them, so that what is listed is what was used. The numbers that
predict time stand in the time's own list (timing/time_constants.py), as they depend on the device.
"""

from functools import lru_cache

from app.network.choice_constants import choice_constants
from app.network.constant import Basis, Constant
from app.network.disk.archive_size import ALIGNMENT
from app.network.disk.contents import CPU_RNG_BYTES, CUDA_RNG_BYTES
from app.network.disk.onnx_layout import MOST_BYTES
from app.network.estimate import ADAM_BYTES
from app.network.fits.cards import CARDS
from app.network.memory.device_overhead import CPU_OVERHEADS, CUDA_OVERHEADS, MARGIN_SHARE, DeviceType
from app.network.memory_constants import JOB, ROLLOUT, UPDATE, loss_constants, window_constants
from app.network.shape import HEAD_DIM

__all__ = ["Basis", "Constant", "constants_for"]


@lru_cache
def constants_for(device_type: DeviceType) -> tuple[Constant, ...]:
    """The constants of an estimate; those of this kind of device before the other's, which `fits` rests on."""
    own, other = (CPU_OVERHEADS, CUDA_OVERHEADS) if device_type == "cpu" else (CUDA_OVERHEADS, CPU_OVERHEADS)
    return (
        *NETWORK,
        *UPDATE,
        *loss_constants(),
        *ROLLOUT,
        *JOB,
        *window_constants(),
        *(Constant(each.name, each.bytes, "B", each.basis, each.source) for each in (*own, *other)),
        Constant("margin", MARGIN_SHARE, "of the tensors' bytes", "assumed", "against fragmentation"),
        *choice_constants(),
        *(Constant(f"memory of {card.name}", card.bytes, "B", card.basis, card.source) for card in CARDS),
    )


NETWORK = (
    Constant(
        "width of a head's hidden layer",
        HEAD_DIM,
        "values",
        "exact",
        "NativeActorCritic: Linear(h, 64) in both heads",
    ),
    Constant(
        "rule of thumb",
        ADAM_BYTES,
        "B per parameter",
        "exact",
        "the project notes: fp32 weight and Adam's two moments",
    ),
    Constant(
        "state of the CPU's generator",
        CPU_RNG_BYTES,
        "B",
        "measured",
        "torch.get_rng_state(), torch 2.13; in every checkpoint",
    ),
    Constant(
        "state of a GPU's generator",
        CUDA_RNG_BYTES,
        "B",
        "assumed",
        "torch's aten/src/ATen/cuda/CUDAGeneratorImpl.cpp: seed and offset; not read on a card; in checkpoints of GPUs",
    ),
    Constant(
        "alignment within a checkpoint",
        ALIGNMENT,
        "B",
        "exact",
        "torch 2.13's zip: each tensor begins on a multiple",
    ),
    Constant("most bytes of an ONNX file", MOST_BYTES, "B", "exact", "protobuf's limit of 2 GiB"),
)
