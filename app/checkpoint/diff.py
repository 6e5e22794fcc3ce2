"""Two checkpoints side by side: what differs, and whether the weights of one load into the network of the other."""

from dataclasses import dataclass, fields
from typing import Any, ClassVar

from app.checkpoint.architecture import Architecture, Value
from app.checkpoint.report import CheckpointReport, FeatureSchema
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
    """How two checkpoints differ."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    left: str
    """Name of the left file."""
    right: str
    """Name of the right file."""
    architecture: tuple[Change, ...]
    """Facts of the networks that differ."""
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
    weights_load: bool
    """Whether the left's weights load into the right's network as they are (strict)."""
    explanation: str
    """Why, or why not, in words."""
    parameters_delta: int
    """Parameters of the right minus those of the left."""
    bytes_delta: int
    """Bytes of the right file minus those of the left."""


def compare_reports(left: CheckpointReport, right: CheckpointReport) -> CheckpointDiff:
    """Compare two inspected checkpoints; neither file is needed again."""
    ours, theirs = _network(left), _network(right)
    both = [name for name in ours if name in theirs]
    only_left = tuple(name for name in ours if name not in theirs)
    only_right = tuple(name for name in theirs if name not in ours)
    shapes = tuple(Change(n, ours[n][0], theirs[n][0]) for n in both if ours[n][0] != theirs[n][0])
    loads = bool(both) and not only_left and not only_right and not shapes
    return CheckpointDiff(
        left=left.name,
        right=right.name,
        architecture=_facts(left.architecture, right.architecture),
        config=tuple(_changes(_flat(left.config), _flat(right.config))),
        tensors_only_left=only_left,
        tensors_only_right=only_right,
        tensors_changed=shapes,
        dtypes_changed=tuple(Change(n, ours[n][1], theirs[n][1]) for n in both if ours[n][1] != theirs[n][1]),
        features=compare_features(left.feature_schema, right.feature_schema),
        weights_load=loads,
        explanation=_explain(only_left, only_right, shapes, loads=loads),
        parameters_delta=right.parameters - left.parameters,
        bytes_delta=right.bytes.total - left.bytes.total,
    )


def compare_features(left: FeatureSchema | None, right: FeatureSchema | None) -> FeatureDiff | None:
    """Compare two feature schemas by name and place; None where neither is known."""
    if left is None and right is None:
        return None
    ours, theirs = left.names if left else (), right.names if right else ()
    only_left = tuple(name for name in ours if name not in set(theirs))
    only_right = tuple(name for name in theirs if name not in set(ours))
    kept_left = [name for name in ours if name in set(theirs)]
    kept_right = [name for name in theirs if name in set(ours)]
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


def _network(report: CheckpointReport) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and type of the network's tensors, named as in the state dict."""
    rows = [tensor for tensor in report.tensors if tensor.part == "weights"]
    prefix = _shared_prefix([row.name for row in rows])
    return {row.name.removeprefix(prefix): (row.shape, row.dtype) for row in rows}


def _shared_prefix(names: list[str]) -> str:
    """The path of the state dict in the file, where all names lie under one of the known keys."""
    known = ("policy_state_dict.", "model_state_dict.", "state_dict.", "policy.pth.", "model.", "policy.")
    return next((prefix for prefix in known if names and all(name.startswith(prefix) for name in names)), "")


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


def _explain(
    only_left: tuple[str, ...], only_right: tuple[str, ...], shapes: tuple[Change, ...], *, loads: bool
) -> str:
    if loads:
        return "the weights load: every tensor has its counterpart of the same shape"
    why = [f"{len(only_left)} tensors only in the left file"] if only_left else []
    why += [f"{len(only_right)} only in the right one"] if only_right else []
    if shapes:
        first = shapes[0]
        why += [
            f"{len(shapes)} of another shape, first {first.name}: {_x(first.left)} against {_x(first.right)}"
        ]
    return "the weights do not load: " + (", ".join(why) or "the files share no tensor")


def _x(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{size:,}" for size in shape) or "scalar"
