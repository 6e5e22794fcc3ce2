"""What the memory of a rollout and an update depends on beside the network and the number of samples."""

from dataclasses import dataclass
from typing import Literal

from app.network.config import Activation
from app.network.memory.device_overhead import DeviceType

FLOAT = 4
"""Bytes of one fp32 value."""

AdamKind = Literal["fused", "foreach", "for-loop"]

Multiplied = Literal["fp32", "bf16"]
"""How layers are multiplied; tf32 counts as fp32: it shortens products, not tensors."""

ITEM_BYTES: dict[Multiplied, int] = {"fp32": 4, "bf16": 2}
"""Bytes of a value that is multiplied."""


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """How the network is run and improved."""

    activation: Activation = "tanh"
    adam: AdamKind = "fused"
    """Which of torch's Adam implementations steps; the trainer's is fused."""
    precision: Multiplied = "fp32"
    device_type: DeviceType = "cuda"
    norm_adv: bool = True
    clip_vloss: bool = True
    norm_obs: bool = False
    parts: tuple[int, ...] = ()
    """Bytes per sample of what observations are built from; nothing where they are stored as they are."""
    processes: int = 1
    """Processes that train one policy together."""
    windowed: bool = False
    """Whether windows are multiplied without the observation being written out."""
