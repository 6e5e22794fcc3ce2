"""What the memory of an optimizer step depends on beside the network and the minibatch."""

from dataclasses import dataclass
from typing import Literal

from app.network.config import Activation
from app.network.memory.device_overhead import DeviceType

FLOAT = 4
"""Bytes of one fp32 value."""

AdamKind = Literal["fused", "foreach", "for-loop"]


@dataclass(frozen=True, slots=True)
class FirstLayerBytes:
    """What one minibatch's products of windows take; see `window_memory`."""

    held: int = 0
    """From the minibatch's start to its end: windows written out, or the samples' places."""
    forward: int = 0
    """While the products are computed, beside their result."""
    backward: int = 0
    """While the weights' gradient is computed, beside itself."""


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """How an optimizer step is computed."""

    activation: Activation = "tanh"
    adam: AdamKind = "fused"
    """Which of torch's Adam implementations steps; the trainer's is fused."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """tf32 counts as fp32: it shortens products, not tensors."""
    device_type: DeviceType = "cuda"
    norm_adv: bool = True
    clip_vloss: bool = True
    norm_obs: bool = False
    built: bool = False
    """Whether observations are built from parts, and freed as soon as the first layer has let go of them."""
    processes: int = 1
    """Processes that train one policy together."""
    first: FirstLayerBytes | None = None
    """Where windows are multiplied without the observation being written out."""
