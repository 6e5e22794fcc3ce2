"""Shape and training plan -> bytes on disk, memory by component and instant, FLOPs; every term shown."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from app.defaults import CPU_MEMORY_BYTES
from app.network.config import PPOConfig
from app.network.disk.archive_size import torch_save_bytes
from app.network.disk.contents import check_agreement, policy_specs, predicted_contents
from app.network.disk.export_metadata import Origin, export_metadata, exported_tensors
from app.network.disk.file_layout import layout_bytes
from app.network.disk.onnx_layout import MOST_BYTES, onnx_layout
from app.network.disk.safetensors_layout import safetensors_layout
from app.network.first_layer import suit_device
from app.network.memory.device_overhead import DeviceType
from app.network.memory.run_memory import MemoryEstimate, run_bytes, run_memory
from app.network.memory.run_plan import RunPlan
from app.network.shape import DOCUMENTED, Layer, NetworkShape
from app.network.tiers import Tier, list_tiers
from app.network.timing.calibration import Calibration
from app.network.timing.flops import Flops, count_flops
from app.network.timing.training_time import TimeEstimate, estimate_time

ADAM_BYTES = 12
"""Bytes per parameter of the notes' rule: fp32 weight and Adam's two moments."""


@dataclass(frozen=True, slots=True)
class Size:
    """A number of bytes, in both units that people call megabytes."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    bytes: int
    """Exact bytes."""
    mb: float
    """Megabytes of 1,000,000 bytes."""
    mib: float
    """Mebibytes of 1,048,576 bytes."""

    @classmethod
    def of(cls, size: int) -> "Size":
        """This many bytes."""
        return cls(size, round(size / 1e6, 2), round(size / (1 << 20), 2))


@dataclass(frozen=True, slots=True)
class DiskEstimate:
    """Exact file sizes."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    checkpoint: Size
    """The file that Caliper's trainer saves: config, weights, Adam's state, trainer's state."""
    weights_only: Size
    """`torch.save` of the policy's state dict alone, written under the stem `archive`."""
    safetensors: Size
    """The same weights as `caliper export --format safetensors` writes them, metadata included."""
    onnx: Size | None
    """The policy as `caliper export --format onnx` writes it; null past the 2 GiB that an ONNX file may have."""
    rule_of_thumb: Size
    """The notes' rule: 12 B for each parameter that it counts."""


@dataclass(frozen=True, slots=True)
class TierFit:
    """Whether a run fits the smallest card of a tier."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    tier: str
    """Name of the tier."""
    card: str
    """Its smallest card."""
    card_bytes: int
    """That card's memory."""
    needed_bytes: int
    """What the run needs there, overheads and margin included."""
    fits: bool
    """Whether that is enough."""
    free_bytes: int
    """What would be left; negative where it does not fit."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a network is and what training it needs."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    obs_dim: int
    """Length of an observation."""
    hidden_dims: tuple[int, ...]
    """Widths of the trunk."""
    action_dim: int
    """Number of actions, or of action components."""
    action_kind: str
    """`discrete` or `gaussian`."""
    minibatch_size: int
    """Samples per optimizer step."""
    parameters: int
    """Exact number of trained values."""
    rule_of_thumb: int
    """What the notes' rule counts, without biases and output layers."""
    rule_of_thumb_error_percent: float
    """How far the rule is off, in percent of the exact number; negative is too few."""
    first_layer_share: float
    """Part of all parameters in the first layer, 0 to 1."""
    layers: tuple[Layer, ...]
    """The size table."""
    disk: DiskEstimate
    """File sizes."""
    memory: MemoryEstimate
    """Device memory."""
    flops: Flops
    """Arithmetic."""
    time: TimeEstimate
    """How long training takes."""
    fits: tuple[TierFit, ...]
    """A verdict per tier, the largest first."""


def estimate(
    shape: NetworkShape,
    config: PPOConfig,
    plan: RunPlan | None = None,
    *,
    calibration: Calibration | None = None,
    gpu: str = "",
    cpu_memory_bytes: int = CPU_MEMORY_BYTES,
) -> Estimate:
    """Size a network and its training.

    `shape` and `config` must agree on the trunk. Sizes on disk are exact for torch 2.13; memory is the
    closed form of memory/run_parts.py plus named constants; time is by `calibration`, else bounds by the
    data sheet of `gpu`; the cpu tier's verdict is by `cpu_memory_bytes`. Raises InvalidConfig or InvalidShape.
    """
    config.check()
    plan = plan or RunPlan()
    check_agreement(shape, config)
    memory = run_memory(shape, config, plan)
    return Estimate(
        obs_dim=shape.obs_dim,
        hidden_dims=shape.hidden_dims,
        action_dim=shape.action_dim,
        action_kind=shape.action_kind,
        minibatch_size=config.minibatch_size,
        parameters=shape.parameters,
        rule_of_thumb=shape.rule_of_thumb,
        rule_of_thumb_error_percent=round(100 * (shape.rule_of_thumb / shape.parameters - 1), 4),
        first_layer_share=shape.first_layer_share,
        layers=shape.layers,
        disk=disk_estimate(shape, config, plan),
        memory=memory,
        flops=count_flops(shape, config),
        time=estimate_time(shape, config, plan, calibration, gpu=gpu),
        fits=_fits(shape, config, plan, list_tiers(cpu_memory_bytes)),
    )


def disk_estimate(shape: NetworkShape, config: PPOConfig, plan: RunPlan | None = None) -> DiskEstimate:
    """Exact sizes of the files that training under this plan writes."""
    plan = plan or RunPlan()
    contents = predicted_contents(
        shape, config, device_type=plan.device_type, env_state=plan.env_state, provenance=plan.provenance
    )
    metadata = export_metadata(shape, config, Origin.before_training(plan.provenance))
    onnx = layout_bytes(onnx_layout(shape, config.activation, norm_obs=config.norm_obs, metadata=metadata))
    return DiskEstimate(
        checkpoint=Size.of(torch_save_bytes(contents)),
        weights_only=Size.of(torch_save_bytes(policy_specs(shape))),
        safetensors=Size.of(layout_bytes(safetensors_layout(exported_tensors(shape, config), metadata))),
        onnx=Size.of(onnx) if onnx <= MOST_BYTES else None,
        rule_of_thumb=Size.of(ADAM_BYTES * shape.rule_of_thumb),
    )


def _fits(
    shape: NetworkShape, config: PPOConfig, plan: RunPlan, tiers: tuple[Tier, ...]
) -> tuple[TierFit, ...]:
    types: tuple[DeviceType, ...] = ("cuda", "cpu")
    needed = {
        kind: run_bytes(shape, suit_device(config, plan.windows, kind), replace(plan, device_type=kind))
        for kind in types
    }
    return tuple(_fit(tier, needed[tier.device_type]) for tier in tiers)


def _fit(tier: Tier, needed: int) -> TierFit:
    card = tier.smallest_bytes
    return TierFit(tier.name, tier.smallest_card, card, needed, needed <= card, card - needed)
