"""One plan for each format: what `caliper export` and GET /checkpoints/{id}/export write."""

import math
import struct
from collections.abc import Mapping
from typing import BinaryIO, Literal, get_args

from app.checkpoint.report import CheckpointReport
from app.checkpoint.source import RangeReader
from app.errors import InvalidInput, NotExportable
from app.export.pieces import Convert, Copy, Export, fill_layout
from app.export.sb3 import plan_sb3
from app.export.source import Policy, StoredTensor, read_policy, read_weights
from app.export.zip_archive import torch_zip
from app.network.disk.export_metadata import EXPORT_FORMAT, export_metadata, exported_tensors
from app.network.disk.file_layout import layout_bytes
from app.network.disk.onnx_layout import MOST_BYTES, OBS_MEAN, OBS_SCALE, onnx_layout
from app.network.disk.safetensors_layout import safetensors_layout

ExportFormat = Literal["safetensors", "onnx", "sb3", "torch"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)

VARIANCE_EPSILON = 1e-8
"""What is added to a variance before its root is taken, as worker.ppo.normalisation has it."""


def plan_export(report: CheckpointReport, file: BinaryIO | RangeReader, kind: str) -> Export:
    """Plan the export of an inspected checkpoint; `file` is the checkpoint, of which only headers are read.

    `safetensors` and `torch` (the weights alone) take any torch file's network, `onnx` and `sb3` only policies that
    Caliper wrote. Raises NotExportable where the format cannot hold it, InvalidInput for an unknown format, and
    UnreadableCheckpoint for a damaged file.
    """
    if kind == "safetensors":
        return _plan_safetensors(report, file)
    if kind == "onnx":
        return _plan_onnx(read_policy(report, file))
    if kind == "sb3":
        return plan_sb3(read_policy(report, file))
    if kind == "torch":
        weights = read_weights(report, file)
        return Export(
            "torch",
            ".pt",
            torch_zip({name: (tensor.spec, tensor.values) for name, tensor in weights.items()}),
        )
    raise InvalidInput(
        f"{kind[:80]!r} is no format of an export", hint=f"one of {', '.join(FORMATS)}", pointer="format"
    )


def _plan_safetensors(report: CheckpointReport, file: BinaryIO | RangeReader) -> Export:
    policy = _known_policy(report, file)
    if policy is not None:
        metadata = export_metadata(policy.shape, policy.config, policy.origin)
        layout = safetensors_layout(exported_tensors(policy.shape, policy.config), metadata)
        return Export("safetensors", ".safetensors", fill_layout(layout, _values(policy)))
    weights = read_weights(report, file)
    said = {"format": EXPORT_FORMAT, "producer": report.producer, "source_sha256": report.sha256 or ""}
    layout = safetensors_layout({name: tensor.spec for name, tensor in weights.items()}, said)
    return Export("safetensors", ".safetensors", fill_layout(layout, _copies(weights)))


def _plan_onnx(policy: Policy) -> Export:
    metadata = export_metadata(policy.shape, policy.config, policy.origin)
    layout = onnx_layout(
        policy.shape, policy.config.activation, norm_obs=policy.config.norm_obs, metadata=metadata
    )
    size = layout_bytes(layout)
    if size > MOST_BYTES:
        raise NotExportable(
            f"the ONNX file would have {size:,} bytes; protobuf, its container, reads at most {MOST_BYTES:,}",
            hint="export it as safetensors, which has no such limit",
            limit_name="onnx bytes",
            limit=MOST_BYTES,
            actual=size,
        )
    return Export("onnx", ".onnx", fill_layout(layout, _values(policy)))


def _known_policy(report: CheckpointReport, file: BinaryIO | RangeReader) -> Policy | None:
    """The policy where the file is a whole Caliper checkpoint; tensors can be exported of any other too."""
    try:
        return read_policy(report, file)
    except NotExportable:
        return None


def _values(policy: Policy) -> dict[str, Copy | Convert]:
    """The bytes of each tensor, those that scale observations made from the running moments."""
    found: dict[str, Copy | Convert] = dict(_copies(policy.weights))
    if policy.config.norm_obs:
        for name, moment, convert in ((OBS_MEAN, "obs_mean", _to_float32), (OBS_SCALE, "obs_var", _to_scale)):
            source = policy.statistics[moment].values
            found[name] = Convert(source, source.length // 2, convert)
    return found


def _copies(tensors: Mapping[str, StoredTensor]) -> dict[str, Copy]:
    return {name: tensor.values for name, tensor in tensors.items()}


def _to_float32(block: bytes) -> bytes:
    """Values of a float64 mean in float32."""
    count = len(block) // 8
    return struct.pack(f"<{count}f", *struct.unpack(f"<{count}d", block))


def _to_scale(block: bytes) -> bytes:
    """1/√(variance + epsilon) of float64 variances, in float32."""
    count = len(block) // 8
    scales = (1.0 / math.sqrt(value + VARIANCE_EPSILON) for value in struct.unpack(f"<{count}d", block))
    return struct.pack(f"<{count}f", *scales)
