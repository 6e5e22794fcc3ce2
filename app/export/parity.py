"""Whether an exported file computes what the checkpoint does: its outputs held against the checkpoint's.

The reference is the checkpoint's network in numpy and float64. An ONNX file is run by ONNX Runtime, as it will be
where it is deployed; of the other formats the values are read back from the file, by the readers that compare
weights and not by what wrote them, and evaluated as the library that loads it would.
"""

import dataclasses
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.report import CheckpointReport
from app.errors import InvalidInput
from app.export.network import Values, evaluate_policy
from app.export.plan import VARIANCE_EPSILON
from app.export.sb3 import sb3_names
from app.export.source import Policy, read_policy
from app.network.disk.onnx_layout import OBS_MEAN, OBS_SCALE
from app.weights.locate import locate_storages
from app.weights.tensor import StoredTensor

TOLERANCE = 1e-4
"""Largest difference that float32 rounding explains, as a part of the largest output; or of 1, if that is more."""

_POLICY = "policy_state_dict."
_EDGES = (0.0, 1.0, -1.0, 10.0, -10.0, 1e-6, 1e3, -1e3)


@dataclass(frozen=True, slots=True)
class Parity:
    """How far an exported file's outputs lie from the checkpoint's."""

    format: str
    """The file's format."""
    ran_by: str
    """What computed its outputs."""
    observations: int
    """Observations that were tried: normal ones, and edges such as all zero or all 1000."""
    max_policy_difference: float
    """Largest difference of a logit or a mean."""
    max_value_difference: float
    """Largest difference of a value."""
    argmax_agreement: float | None
    """Part of the observations with the same most probable action; null for Gaussian policies."""
    tolerance: float
    """Difference that rounding explains: TOLERANCE times the largest output, or times 1."""
    holds: bool
    """Whether no difference is larger, and no action differs but where two are as probable up to that."""


def check_parity(checkpoint: Path, exported: Path, *, count: int = 256, seed: int = 0) -> Parity:
    """Hold an export against its checkpoint on `count` random observations and the edges.

    Raises NotExportable for a checkpoint whose forward pass is not known, InvalidInput where ONNX Runtime is needed
    and not installed.
    """
    report = inspect_checkpoint(checkpoint, with_sha256=False)
    with checkpoint.open("rb") as file:
        policy = read_policy(report, file)
    observations = make_observations(policy.shape.obs_dim, count, seed)
    reference = _reference(policy, report, checkpoint, observations)
    other = inspect_checkpoint(exported, with_sha256=False)
    if other.format == "onnx":
        ran_by, outputs = _run_onnx(exported, observations)
    else:
        ran_by, outputs = f"numpy {np.__version__}", _evaluate(policy, other, exported, observations)
    return _judge(policy, other.format, ran_by, reference, outputs)


def make_observations(obs_dim: int, count: int, seed: int) -> Values:
    """Standard normal observations and the edges, float32 values, [count + 9, obs_dim]."""
    random = np.random.default_rng(seed).standard_normal((count, obs_dim))
    edges = [np.full(obs_dim, edge) for edge in _EDGES]
    alternating = np.where(np.arange(obs_dim) % 2, -10.0, 10.0)
    return np.vstack([random, *edges, alternating]).astype(np.float32).astype(np.float64)


def _reference(policy: Policy, report: CheckpointReport, path: Path, observations: Values) -> "_Outputs":
    stored = _read_values(report, path)
    weights = {
        name.removeprefix(_POLICY): value for name, value in stored.items() if name.startswith(_POLICY)
    }
    if policy.config.norm_obs:
        scale = 1.0 / np.sqrt(stored["trainer_state.obs_var"] + VARIANCE_EPSILON)
        weights[OBS_MEAN] = stored["trainer_state.obs_mean"].astype(np.float32).astype(np.float64)
        weights[OBS_SCALE] = scale.astype(np.float32).astype(np.float64)
    return evaluate_policy(policy.shape, policy.config.activation, weights, observations)


_Outputs = tuple[Values, Values]


def _evaluate(policy: Policy, report: CheckpointReport, path: Path, observations: Values) -> _Outputs:
    """The outputs of a file of weights; torch's alone carries no normaliser, so observations come normalised."""
    stored = _read_values(report, path)
    shape = policy.shape
    if report.format == "stable-baselines3":
        shape = dataclasses.replace(shape, shared_trunk=False)
        prefixed = {name.removeprefix("policy.pth."): value for name, value in stored.items()}
        stored = {ours: prefixed[theirs] for theirs, ours in sb3_names(shape)}
    if policy.config.norm_obs and OBS_MEAN not in stored:
        raise InvalidInput(
            "the file carries no normaliser, so it computes something else for the same observations",
            hint="check a safetensors or onnx export of this policy",
            pointer="--check",
        )
    return evaluate_policy(shape, policy.config.activation, stored, observations)


def _run_onnx(path: Path, observations: Values) -> tuple[str, _Outputs]:
    try:
        runtime: Any = importlib.import_module("onnxruntime")
    except ImportError:
        raise InvalidInput(
            "ONNX Runtime is not installed, and an ONNX file is checked by running it",
            hint="pip install onnxruntime; or leave --check out",
            pointer="--check",
        ) from None
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    policy = next(name for name in names if name in ("logits", "mean"))
    found = session.run([policy, "value"], {"observations": observations.astype(np.float32)})
    outputs = (found[0].astype(np.float64), found[1][:, 0].astype(np.float64))
    return f"onnxruntime {runtime.__version__}", outputs


def _read_values(report: CheckpointReport, path: Path) -> Mapping[str, Values]:
    """The float tensors of a file by name, optimizer aside."""
    with path.open("rb") as file:
        dtypes = {tensor.storage: tensor.dtype for tensor in report.tensors if tensor.storage}
        storages = locate_storages(file.fileno(), report.format, dtypes)
        return {
            tensor.name: np.concatenate(
                list(StoredTensor.of(storages, dataclasses.asdict(tensor)).blocks())
            ).reshape(tensor.shape)
            for tensor in report.tensors
            if tensor.part != "optimizer" and tensor.dtype in ("float32", "float64") and 0 not in tensor.shape
        }


def _judge(policy: Policy, container: str, ran_by: str, ours: _Outputs, theirs: _Outputs) -> Parity:
    apart = [float(np.abs(left - right).max()) for left, right in zip(ours, theirs, strict=True)]
    tolerance = TOLERANCE * max(1.0, *(float(np.abs(each).max()) for each in ours))
    agreement = None
    is_same = True
    if policy.shape.action_kind == "discrete":
        rows = np.arange(len(ours[0]))
        best, chosen = ours[0].argmax(axis=1), theirs[0].argmax(axis=1)
        agreement = float((best == chosen).mean())
        is_same = bool((ours[0][rows, best] - ours[0][rows, chosen] <= tolerance).all())
    return Parity(
        format=container,
        ran_by=ran_by,
        observations=len(ours[0]),
        max_policy_difference=apart[0],
        max_value_difference=apart[1],
        argmax_agreement=agreement,
        tolerance=tolerance,
        holds=max(apart) <= tolerance and is_same,
    )
