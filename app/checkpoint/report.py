"""The answer of an inspection: everything that is in the file, as one JSON-able dataclass."""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from app.checkpoint.architecture import Architecture, Fact
from app.checkpoint.contents import ContainerFormat
from app.checkpoint.findings import Finding
from app.checkpoint.limits import ReadLimits
from app.checkpoint.optimizer import OptimizerInfo
from app.checkpoint.size_prediction import SizePrediction
from app.checkpoint.tensors import TensorInfo
from app.network.shape import DOCUMENTED


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """One layer with parameters."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """Prefix of its tensors' names in the state dict."""
    shape: tuple[int, ...]
    """Shape of its weight, [out, in] for a linear layer."""
    parameters: int
    """Values, biases included; what layers share is counted at the first."""
    share: float
    """Part of all parameters, 0 to 1."""


@dataclass(frozen=True, slots=True)
class FeatureSchema:
    """The features of an observation, in order."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    names: tuple[str, ...]
    """Feature names in order."""
    version: str | None = None
    """Version of the schema."""
    sha256: str | None = None
    """Hash of the schema."""
    lookback: int | None = None
    """Bars in an observation."""
    account: tuple[str, ...] = ()
    """Features of the account, which follow those of the market in each bar."""
    masked: tuple[str, ...] = ()
    """Features held at 0."""
    library: str | None = None
    """What computed the indicators."""
    hash_holds: bool | None = None
    """Whether `sha256` is that of the fields; null where it cannot be checked."""

    @property
    def obs_dim(self) -> int | None:
        """Width of an observation: lookback times all features; None without a lookback."""
        return None if self.lookback is None else self.lookback * (len(self.names) + len(self.account))


@dataclass(frozen=True, slots=True)
class PartBytes:
    """Where the file's bytes go; the parts add up to `total`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    weights: int
    """Storages of the network's tensors, each counted once."""
    optimizer: int
    """Storages of the optimizer's tensors."""
    other_tensors: int
    """Storages of all other tensors, such as running statistics."""
    other: int
    """Pickles, headers, padding and directory."""
    total: int
    """The file."""


@dataclass(frozen=True, slots=True)
class CheckpointReport:
    """Everything that is in a checkpoint file, read without running any of it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """Name of the file, as it was given."""
    format: ContainerFormat
    """The container."""
    producer: str
    """Software that wrote it, `unknown` where no recipe knows it."""
    complete: bool
    """Whether all of the file could be read; where not, `findings` say where it broke."""
    architecture: Architecture
    """The policy network."""
    parameters: int
    """Values of the network's tensors; shared storages and repeated values are counted once. Buffers, such as a batch
    norm's statistics, are among them: a state dict does not tell them apart."""
    layers: tuple[LayerInfo, ...]
    """The network's layers."""
    tensors: tuple[TensorInfo, ...]
    """All tensors of the file."""
    dtypes: dict[str, int]
    """Tensors by the type of their values."""
    optimizer: OptimizerInfo | None
    """The optimizer's state; null where there is none."""
    config: Any
    """The configuration as plain values; numbers are finite, strings escaped, long ones cut."""
    feature_schema: FeatureSchema | None
    """The observation's features."""
    versions: Any
    """What wrote the file."""
    dataset: Any
    """What the policy was trained on."""
    bytes: PartBytes
    """Bytes by part."""
    size: SizePrediction | None
    """The size that the config leads to, against the file's; null for other formats than Caliper's."""
    normaliser: Any
    """The fixed values that observations are scaled by, as plain values; null where there are none."""
    normaliser_tensors: tuple[str, ...]
    """Tensors that hold running statistics of observations, by their path in the file."""
    normaliser_sha256: dict[str, str]
    """Hash of each statistic's values as float64, by the tensor's path: in the reports of registered checkpoints and of
    those that are compared. Empty where they were not asked for, or are too large to be read."""
    modules: tuple[str, ...]
    """The network's modules in order, those without tensors too; empty where the file does not list them."""
    progress: Any
    """Counters of the training, such as steps and updates; null where the file has none."""
    findings: tuple[Finding, ...]
    """What was noticed, the worst first."""
    sha256: str | None
    """Hash of the whole file; null where it was not asked for."""
    bytes_read: int
    """Bytes that the reading took into memory, decompressed ones included; the hash's pass is not counted."""
    limits: ReadLimits
    """The limits that applied."""

    @property
    def suspicious(self) -> bool:
        """Whether a finding is of medium or high severity."""
        return any(finding.severity in ("medium", "high") for finding in self.findings)

    def plain(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Self:
        """The report that `plain` came of, also by way of JSON; older ones lack what came later."""
        optimizer, features = values["optimizer"], values["feature_schema"]
        return cls(
            **{
                **values,
                "architecture": Architecture(
                    **{k: Fact(**_tuples(v)) for k, v in values["architecture"].items()}
                ),
                "layers": tuple(LayerInfo(**_tuples(layer)) for layer in values["layers"]),
                "tensors": tuple(TensorInfo(**_tuples(tensor)) for tensor in values["tensors"]),
                "optimizer": OptimizerInfo(**optimizer) if optimizer else None,
                "feature_schema": FeatureSchema(**_tuples(features)) if features else None,
                "bytes": PartBytes(**values["bytes"]),
                "size": SizePrediction(**values["size"]) if values.get("size") else None,
                "normaliser": values.get("normaliser"),
                "normaliser_tensors": tuple(values.get("normaliser_tensors", ())),
                "normaliser_sha256": dict(values.get("normaliser_sha256", {})),
                "modules": tuple(values.get("modules", ())),
                "progress": values.get("progress"),
                "findings": tuple(Finding(**finding) for finding in values["findings"]),
                "limits": ReadLimits(**values["limits"]),
            }
        )


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
