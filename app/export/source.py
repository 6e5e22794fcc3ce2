"""The checkpoint that is exported: where its tensors' bytes stand, and what network they are."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from app.checkpoint.archive import Archive, open_archive
from app.checkpoint.findings import Findings
from app.checkpoint.inspect import DEFAULT_LIMITS
from app.checkpoint.limits import Meter
from app.checkpoint.report import CheckpointReport
from app.checkpoint.source import FileSource, RangeReader, RangeSource
from app.checkpoint.tensors import TensorInfo, item_bytes
from app.errors import CaliperError, NotExportable
from app.export.pieces import Copy
from app.network.config import PPOConfig
from app.network.disk.export_metadata import Origin
from app.network.disk.pickle_size import TensorSpec
from app.network.shape import NetworkShape

_POLICY = "policy_state_dict."
_DIMENSIONS = ("obs_dim", "action_dim", "action_kind")


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in the checkpoint."""

    spec: TensorSpec
    """Shape and type."""
    values: Copy
    """Where its values stand."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy whose forward pass is known: one that Caliper wrote."""

    shape: NetworkShape
    """The network."""
    config: PPOConfig
    """How it was trained."""
    weights: Mapping[str, StoredTensor]
    """Its tensors by their names in the state dict, in the shape's order."""
    statistics: Mapping[str, StoredTensor]
    """`obs_mean` and `obs_var`, float64, where observations are normalised."""
    origin: Origin
    """Where it comes from."""
    action_bounds: tuple[float, float]
    """What a Gaussian action is clipped to by the environment."""
    global_step: int
    """Environment steps that it was trained for."""


def read_weights(report: CheckpointReport, file: BinaryIO | RangeReader) -> dict[str, StoredTensor]:
    """The network's tensors by their names in the state dict, whoever wrote the file.

    Raises NotExportable for a container without records of raw values, UnreadableCheckpoint for a damaged one.
    """
    found = [tensor for tensor in report.tensors if tensor.part == "weights"]
    if not found:
        raise NotExportable("the file holds no network's tensors", hint="inspect it to see what it holds")
    prefix = _prefix(found[0].name, report.layers[0].name if report.layers else "")
    located = _locate(report, file, found)
    return {name.removeprefix(prefix): tensor for name, tensor in located.items()}


def read_policy(report: CheckpointReport, file: BinaryIO | RangeReader) -> Policy:
    """The policy of a whole checkpoint that Caliper wrote.

    Raises NotExportable for other files, and for one whose config does not describe its tensors.
    """
    if report.producer != "caliper" or not isinstance(report.config, dict):
        raise NotExportable(
            f"it is no whole Caliper checkpoint (producer: {report.producer}), so what its network computes is not known",
            hint="a checkpoint of a Caliper job; the tensors of any torch file can be exported as safetensors",
        )
    shape, config = _described(report.config)
    weights = read_weights(report, file)
    expected = {name: TensorSpec(size) for name, size in shape.tensors}
    if {name: tensor.spec for name, tensor in weights.items()} != expected:
        raise NotExportable(
            "its tensors are not those of the network that its config describes",
            hint="inspect it to see both",
        )
    wanted = ("trainer_state.obs_mean", "trainer_state.obs_var") if config.norm_obs else ()
    statistics = _locate(report, file, [tensor for tensor in report.tensors if tensor.name in wanted])
    if len(statistics) != len(wanted):
        raise NotExportable("its config says norm_obs, yet it holds no statistics of observations")
    return Policy(
        shape=shape,
        config=config,
        weights={name: weights[name] for name in expected},
        statistics={name.rpartition(".")[2]: tensor for name, tensor in statistics.items()},
        origin=read_origin(report),
        action_bounds=_action_bounds(report.dataset),
        global_step=_global_step(report.progress),
    )


def read_origin(report: CheckpointReport) -> Origin:
    """What the report says of features, data and job."""
    features = report.feature_schema
    schema = features and {
        "names": features.names,
        "account": features.account,
        "lookback": features.lookback,
        "hash": features.sha256,
    }
    return Origin(schema, report.normaliser, report.dataset, report.sha256 or Origin().source_sha256)


def _described(said: dict[str, Any]) -> tuple[NetworkShape, PPOConfig]:
    try:
        values = {name: value for name, value in said.items() if name not in _DIMENSIONS}
        config = PPOConfig.from_plain({**values, "hidden_dims": tuple(values["hidden_dims"])})
        shape = NetworkShape(
            **{name: said[name] for name in _DIMENSIONS},
            hidden_dims=config.hidden_dims,
            layer_norm=config.layer_norm,
            shared_trunk=config.shared_trunk,
        )
    except (CaliperError, KeyError, TypeError, ValueError) as error:
        why = error.detail if isinstance(error, CaliperError) else repr(error)
        raise NotExportable(
            f"its config describes no network: {why[:200]}", hint="use the release that wrote it"
        ) from error
    return shape, config


def _locate(
    report: CheckpointReport, file: BinaryIO | RangeReader, wanted: list[TensorInfo]
) -> dict[str, StoredTensor]:
    if report.format != "torch-zip" or not report.complete:
        what = f"a {report.format} file" if report.complete else "a file that could not be read to its end"
        raise NotExportable(f"{what} is not exported", hint="a checkpoint that torch.save wrote, undamaged")
    findings = Findings(DEFAULT_LIMITS.max_findings)
    meter = Meter(DEFAULT_LIMITS)
    archive = open_archive(_open(file, meter), meter, findings)
    folder = next(iter(archive.members)).partition("/")[0]
    order = f"{folder}/byteorder"
    if findings.any_high() or (order in archive.members and archive.read(order) != b"little"):
        raise NotExportable(
            "its archive is not laid out as torch.save does, or big-endian",
            hint="inspect it to see its findings",
        )
    return {tensor.name: _stored(tensor, archive, folder) for tensor in wanted}


def _open(file: BinaryIO | RangeReader, meter: Meter) -> RangeSource:
    if isinstance(file, RangeReader):
        return RangeSource(file.size, file.read, meter, file.head)
    return FileSource(file, meter)


def _stored(tensor: TensorInfo, archive: Archive, folder: str) -> StoredTensor:
    width, name = item_bytes(tensor.dtype), f"{folder}/data/{tensor.storage}"
    if not width or not _is_contiguous(tensor) or name not in archive.members:
        raise NotExportable(
            f"{tensor.name} ({tensor.dtype}) does not stand in the file as raw values in their order",
            hint="save it contiguous, in a type such as float32",
        )
    start, length = archive.place(name)
    offset, size = tensor.offset * width, math.prod(tensor.shape) * width
    if offset + size > length:
        raise NotExportable(f"{tensor.name} passes the end of its record", hint="the file is damaged")
    checksum = archive.members[name].crc if size == length else None
    return StoredTensor(TensorSpec(tensor.shape, tensor.dtype), Copy(start + offset, size, checksum))


def _is_contiguous(tensor: TensorInfo) -> bool:
    step = 1
    for size, stride in zip(reversed(tensor.shape), reversed(tensor.stride), strict=True):
        if size != 1 and stride != step:
            return False
        step *= size
    return True


def _prefix(path: str, layer: str) -> str:
    """What stands before the names of the state dict in the paths of the file."""
    at = path.find(layer) if layer else -1
    return path[:at] if at > 0 else ""


def _action_bounds(dataset: Any) -> tuple[float, float]:
    environment = dataset.get("environment") if isinstance(dataset, dict) else None
    actions = environment.get("actions") if isinstance(environment, dict) else None
    low, high = (actions.get("low"), actions.get("high")) if isinstance(actions, dict) else (None, None)
    numbers = isinstance(low, int | float) and isinstance(high, int | float)
    return (float(low), float(high)) if numbers else (-math.inf, math.inf)  # type: ignore[arg-type]


def _global_step(progress: Any) -> int:
    step = progress.get("global_step") if isinstance(progress, dict) else None
    return step if type(step) is int else 0
