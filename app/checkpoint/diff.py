"""Two checkpoints side by side: what differs, and what a user may do with the one in place of the other."""

from dataclasses import dataclass, fields
from typing import Any, ClassVar

from app.checkpoint.alignment import LayerChange, align_layers, describe_pair
from app.checkpoint.architecture import Architecture, Value
from app.checkpoint.inference_verdict import InferenceVerdict, judge_inference
from app.checkpoint.lineage import Lineage, Origin, judge_lineage
from app.checkpoint.load_verdict import LoadVerdict, judge_loading
from app.checkpoint.network_layers import known_modules, layers_of, state_dict_of
from app.checkpoint.optimizer import OptimizerInfo
from app.checkpoint.report import CheckpointReport, FeatureSchema
from app.checkpoint.tensors import TensorInfo
from app.network.shape import DOCUMENTED


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """What it is: a fact, or the path of a config field."""
    left: Any
    """Its value on the left; null where it is missing."""
    right: Any
    """Its value on the right; null where it is missing."""


@dataclass(frozen=True, slots=True)
class FeatureDiff:
    """How two feature schemas differ, by name."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    same: bool
    """Whether names and order are equal."""
    only_left: tuple[str, ...]
    """Features of the left alone."""
    only_right: tuple[str, ...]
    """Features of the right alone."""
    moved: tuple[str, ...]
    """Features of both that stand at another place among those that both have."""
    explanation: str
    """The difference in words."""


@dataclass(frozen=True, slots=True)
class CheckpointDiff:
    """How two checkpoints differ, and what follows from it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    left: str
    """Name of the left file."""
    right: str
    """Name of the right file."""
    architecture: tuple[Change, ...]
    """Facts of the networks that differ."""
    layers: tuple[LayerChange, ...]
    """The layers of both networks, aligned: on the way to the action, then to the value, then the rest."""
    config: tuple[Change, ...]
    """Config fields that differ."""
    tensors_only_left: tuple[str, ...]
    """Network tensors of the left alone, by their name in the state dict."""
    tensors_only_right: tuple[str, ...]
    """Network tensors of the right alone."""
    tensors_changed: tuple[Change, ...]
    """Network tensors of both whose shapes differ."""
    dtypes_changed: tuple[Change, ...]
    """Network tensors of both whose types differ."""
    features: FeatureDiff | None
    """How the feature schemas differ; null where neither has one."""
    optimizer: tuple[Change, ...]
    """Facts of the optimizers' states that differ."""
    loading: LoadVerdict
    """Whether the right's weights load into the left's network, and which keys would fail."""
    inference: InferenceVerdict
    """Whether one policy may stand in for the other."""
    lineage: Lineage
    """Whether they come of the same training."""
    weights_load: bool
    """Whether the weights load as they are (strict), in either direction."""
    explanation: str
    """Why, or why not, in words."""
    parameters_delta: int
    """Parameters of the right minus those of the left."""
    bytes_delta: int
    """Bytes of the right file minus those of the left."""


def compare_reports(
    left: CheckpointReport,
    right: CheckpointReport,
    origins: tuple[Origin | None, Origin | None] = (None, None),
) -> CheckpointDiff:
    """Compare two inspected checkpoints; neither file is needed again. `origins`: what the registry knows."""
    ours, theirs = state_dict_of(left), state_dict_of(right)
    both = [name for name in ours if name in theirs]
    pairs = align_layers(layers_of(left), layers_of(right))
    loading = judge_loading(_shapes(ours), _shapes(theirs), pairs, known_modules(left, ours))
    return CheckpointDiff(
        left=left.name,
        right=right.name,
        architecture=_facts(left.architecture, right.architecture),
        layers=tuple(describe_pair(pair) for pair in pairs),
        config=tuple(_changes(_flat(left.config), _flat(right.config))),
        tensors_only_left=loading.missing,
        tensors_only_right=tuple(name for name in theirs if name not in ours),
        tensors_changed=_tensor_changes("shape", both, ours, theirs),
        dtypes_changed=_tensor_changes("dtype", both, ours, theirs),
        features=compare_features(left.feature_schema, right.feature_schema),
        optimizer=_optimizer(left.optimizer, right.optimizer),
        loading=loading,
        inference=judge_inference(left, right),
        lineage=judge_lineage(left, right, origins),
        weights_load=loading.loads,
        explanation=loading.explanation,
        parameters_delta=right.parameters - left.parameters,
        bytes_delta=right.bytes.total - left.bytes.total,
    )


def compare_features(left: FeatureSchema | None, right: FeatureSchema | None) -> FeatureDiff | None:
    """Compare two feature schemas by name and place; None where neither is known."""
    if left is None and right is None:
        return None
    ours, theirs = left.names if left else (), right.names if right else ()
    known_left, known_right = set(ours), set(theirs)
    only_left = tuple(name for name in ours if name not in known_right)
    only_right = tuple(name for name in theirs if name not in known_left)
    kept_left = [name for name in ours if name in known_right]
    kept_right = [name for name in theirs if name in known_left]
    moved = tuple(a for a, b in zip(kept_left, kept_right, strict=False) if a != b)
    text = _explain_features(ours, theirs, (only_left, only_right, moved))
    return FeatureDiff(ours == theirs, only_left, only_right, moved, text)


def _explain_features(
    ours: tuple[str, ...], theirs: tuple[str, ...], parts: tuple[tuple[str, ...], ...]
) -> str:
    if ours == theirs:
        return f"the same {len(ours)} features in the same order"
    if not ours or not theirs:
        return f"only the {'right' if theirs else 'left'} file names its features"
    pairs = enumerate(zip(ours, theirs, strict=False))
    first = next((f"left has {a} at #{at}, right has {b}; " for at, (a, b) in pairs if a != b), "")
    return f"{first}{len(parts[0])} only left, {len(parts[1])} only right, {len(parts[2])} at another place"


def _shapes(state: dict[str, TensorInfo]) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in state.items()}


def _tensor_changes(
    what: str, names: list[str], left: dict[str, TensorInfo], right: dict[str, TensorInfo]
) -> tuple[Change, ...]:
    pairs = ((name, getattr(left[name], what), getattr(right[name], what)) for name in names)
    return tuple(Change(name, ours, theirs) for name, ours, theirs in pairs if ours != theirs)


def _optimizer(left: OptimizerInfo | None, right: OptimizerInfo | None) -> tuple[Change, ...]:
    """Field by field; where one side has none, its kind against nothing."""
    if left is None or right is None:
        kinds = (None if each is None else each.kind for each in (left, right))
        return () if left is right else (Change("optimizer", *kinds),)
    names = [field.name for field in fields(OptimizerInfo)]
    return tuple(_changes(*({name: getattr(each, name) for name in names} for each in (left, right))))


def _facts(left: Architecture, right: Architecture) -> tuple[Change, ...]:
    found: list[Change] = []
    for field in fields(Architecture):
        ours: Value = getattr(left, field.name).value
        theirs: Value = getattr(right, field.name).value
        if ours != theirs:
            found.append(Change(field.name, ours, theirs))
    return tuple(found)


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """A config's leaves by dotted path; a report's config is bounded in depth and breadth."""
    if not isinstance(value, dict):
        return {path: value}
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= _flat(item, f"{path}.{key}" if path else key)
    return found


def _changes(left: dict[str, Any], right: dict[str, Any]) -> list[Change]:
    names = [*left, *(name for name in right if name not in left)]
    return [Change(n, left.get(n), right.get(n)) for n in names if left.get(n) != right.get(n)]
