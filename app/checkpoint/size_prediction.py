"""The size that a Caliper checkpoint must have by its own config, against the size that it has."""

from dataclasses import dataclass
from typing import Any, ClassVar

from app.checkpoint.contents import Contents
from app.checkpoint.values import Table, Tensor, fields_of
from app.errors import CaliperError
from app.network.config import PPOConfig
from app.network.disk.archive_size import torch_save_bytes
from app.network.disk.contents import FORMAT, Provenance, predicted_contents
from app.network.disk.pickle_size import TensorSpec
from app.network.shape import DOCUMENTED, NetworkShape

_DIMENSIONS = ("obs_dim", "action_dim", "action_kind")
_MOST_DEPTH = 32
_MOST_VALUES = 100_000
_CHARACTERS = 16
"""Characters of text that weigh as much as a value."""


@dataclass(frozen=True, slots=True)
class SizePrediction:
    """What the config says that the file must measure."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    predicted: int | None
    """Bytes that the config found in the file leads to; null where it does not describe a network."""
    actual: int
    """Bytes of the file."""
    difference: int | None
    """Actual minus predicted: 0 for a file as Caliper writes it after its first update."""
    note: str = ""
    """Why there is no prediction, or what a difference means."""


def predict_size(contents: Contents, actual: int) -> SizePrediction | None:
    """The prediction for a file in the format that this release writes; None for any other.

    What no config decides, the environment's state and the provenance, is taken as it stands in the file.
    """
    root = contents.root
    if not isinstance(root, Table) or contents.format != "torch-zip" or not _is_caliper(root):
        return None
    try:
        predicted = torch_save_bytes(_expected(root), contents.stem)
    except (CaliperError, ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        why = error.detail if isinstance(error, CaliperError) else str(error)  # the config is untrusted
        return SizePrediction(None, actual, None, f"no size follows from the config: {why[:200]}")
    difference = actual - predicted
    reasons = "written by another version, before the first update or by several processes, or changed since"
    note = reasons if difference else ""
    return SizePrediction(predicted, actual, difference, note)


def _is_caliper(root: Table) -> bool:
    return bool(root.get("format") == FORMAT)


def _expected(root: Table) -> Any:
    plain = _Plain()
    said = plain.of(root.get("config"))
    values = dict(said)
    state = fields_of(root.get("trainer_state")) or Table()
    dimensions = {name: values.pop(name) for name in _DIMENSIONS}
    config = PPOConfig.from_plain({**values, "hidden_dims": tuple(values["hidden_dims"])})
    shape = NetworkShape(
        **dimensions,
        hidden_dims=config.hidden_dims,
        layer_norm=config.layer_norm,
        shared_trunk=config.shared_trunk,
    )
    expected = predicted_contents(
        shape,
        config,
        device_type="cuda" if "device_rng_state" in state else "cpu",
        env_state=plain.of(state.get("env", Table())),
        provenance=Provenance(
            feature_schema=plain.of(root.get("feature_schema")),
            normaliser=plain.of(root.get("normaliser")),
            dataset=plain.of(root.get("dataset")),
            versions=plain.of(root.get("versions")),
        ),
    )
    # An earlier release knew fewer settings and wrote fewer.
    expected["config"] = {name: value for name, value in expected["config"].items() if name in said}
    return expected


class _Plain:
    """Inert values as the plain values that they stand for, tensors as their specs; bounded."""

    def __init__(self) -> None:
        self.left = _MOST_VALUES

    def of(self, value: Any, depth: int = 0) -> Any:
        """The plain value; raises ValueError past a bound or where one has no plain form."""
        self.left -= 1
        if self.left < 0 or depth > _MOST_DEPTH:
            raise ValueError("what stands beside it is too large")
        if isinstance(value, Table):
            return {key: self.of(item, depth + 1) for key, item in value.pairs if type(key) in (str, int)}
        if isinstance(value, (list, tuple)):
            return type(value)(self.of(item, depth + 1) for item in value)
        if isinstance(value, Tensor):
            return TensorSpec(value.shape, value.dtype)
        if isinstance(value, str):
            self.left -= len(value) // _CHARACTERS  # the same text may be named many times
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise ValueError(f"a {type(value).__name__.lower()} stands beside it")
