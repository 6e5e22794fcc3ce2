"""How far the weights of two checkpoints lie apart: which tensors are held against each other, and the answer.

Only names, shapes and the answer live here, standard library alone; the values are read by `app.weights`, in
a process of its own (`weights_child`).
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

from app.checkpoint.alignment import align_layers, sizes
from app.checkpoint.network_layers import layers_of, state_dict_of
from app.checkpoint.report import CheckpointReport
from app.checkpoint.tensors import TensorInfo
from app.network.shape import DOCUMENTED


@dataclass(frozen=True, slots=True)
class TensorDistance:
    """How far two tensors lie apart; all of it in float64.

    Values that are NaN or infinite on either side are counted and left out of all other figures. A figure is
    null where it does not exist: of an empty tensor, of a change relative to nothing but zeros, of numbers
    too large for float64.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """The left's key in the state dict."""
    right_name: str
    """The right's key; another one where layers were matched by their role."""
    shape: tuple[int, ...]
    """Shape of both."""
    dtypes: tuple[str, str]
    """Types of the left's and the right's values."""
    values: int
    """Values of each."""
    changed: int
    """Values that differ, those that are not finite on just one side included."""
    max_absolute_change: float | None
    """max |right - left|."""
    max_relative_change: float | None
    """max |right - left| / |left| over values that are not zero on the left."""
    relative_change: float | None
    """||right - left|| / ||left||."""
    cosine: float | None
    """Cosine of the angle between both, 1 for the same direction."""
    norm_left: float | None
    """Euclidean norm of the left."""
    norm_right: float | None
    """Euclidean norm of the right."""
    not_finite: tuple[int, int]
    """NaN and infinite values of the left and of the right."""


@dataclass(frozen=True, slots=True)
class SkippedTensor:
    """A tensor that could not be compared."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """Its key in the state dict."""
    reason: str
    """Why."""


@dataclass(frozen=True, slots=True)
class WeightsDiff:
    """How far the weights of two checkpoints lie apart, tensor by tensor."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    left: str
    """Name of the left file."""
    right: str
    """Name of the right file."""
    tensors: tuple[TensorDistance, ...]
    """The tensors that have a counterpart of their shape, in the left's order."""
    total: TensorDistance
    """All of them taken as one vector."""
    skipped: tuple[SkippedTensor, ...]
    """Tensors that were not compared."""
    identical: bool
    """Whether every tensor was compared and none differs."""
    bytes_read: int
    """Bytes of weights that were read, of both files."""
    explanation: str
    """The outcome in words."""

    def plain(self) -> dict[str, Any]:
        """The answer as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Self:
        """The answer that `plain` came of, also by way of JSON."""
        return cls(
            **{
                **values,
                "tensors": tuple(_distance(entry) for entry in values["tensors"]),
                "total": _distance(values["total"]),
                "skipped": tuple(SkippedTensor(**entry) for entry in values["skipped"]),
            }
        )


@dataclass(frozen=True, slots=True)
class TensorPair:
    """Two tensors of one shape that are held against each other."""

    name: str
    left: TensorInfo
    right_name: str
    right: TensorInfo


def pair_tensors(
    left: CheckpointReport, right: CheckpointReport
) -> tuple[list[TensorPair], list[SkippedTensor]]:
    """Match the networks' tensors by name, the rest by the role of their layers; statistics by name."""
    ours, theirs = state_dict_of(left), state_dict_of(right)
    wanted = dict(_counterparts(left, right, ours, theirs))
    pairs: list[TensorPair] = []
    skipped: list[SkippedTensor] = []
    for name, tensor in ours.items():
        match = wanted.get(name)
        if match is None:
            skipped.append(SkippedTensor(name, "only in the left file"))
        elif theirs[match].shape != tensor.shape:
            shapes = f"{sizes(tensor.shape)} against {sizes(theirs[match].shape)}"
            skipped.append(SkippedTensor(name, f"of another shape: {shapes}"))
        else:
            pairs.append(TensorPair(name, tensor, match, theirs[match]))
    taken = set(wanted.values())
    skipped += [SkippedTensor(name, "only in the right file") for name in theirs if name not in taken]
    return [*pairs, *_statistics(left, right)], skipped


def _counterparts(
    left: CheckpointReport,
    right: CheckpointReport,
    ours: dict[str, TensorInfo],
    theirs: dict[str, TensorInfo],
) -> Iterator[tuple[str, str]]:
    """Names that are equal; of the other layers, those that the alignment puts side by side."""
    yield from ((name, name) for name in ours if name in theirs)
    for a, b in align_layers(layers_of(left), layers_of(right)):
        if a is None or b is None or a.name == b.name:
            continue
        for leaf in a.tensors:
            mine, other = a.key(leaf), b.key(leaf)
            if mine not in theirs and other not in ours and other in theirs:
                yield mine, other


def _statistics(left: CheckpointReport, right: CheckpointReport) -> Iterator[TensorPair]:
    """The normalisers' statistics that both files have under one name and in one shape, unless weights are."""
    named = set(left.normaliser_tensors) & set(right.normaliser_tensors)
    others = {tensor.name: tensor for tensor in right.tensors if tensor.name in named}
    for tensor in left.tensors:
        match = others.get(tensor.name)
        if match is not None and "weights" not in (tensor.part, match.part) and match.shape == tensor.shape:
            yield TensorPair(tensor.name, tensor, tensor.name, match)


def _distance(values: dict[str, Any]) -> TensorDistance:
    lists: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return TensorDistance(**lists)
