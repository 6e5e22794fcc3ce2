"""What an exported file says of its policy in words: the network, the features, where it comes from.

ONNX keeps it in metadata_props, safetensors in `__metadata__`: names to text. Every text has a length that is
known before training, so that the file's size is too; numbers that training finds are padded for it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from app.network.config import PPOConfig
from app.network.disk.contents import Provenance, policy_specs
from app.network.disk.onnx_layout import OBS_MEAN, OBS_SCALE
from app.network.disk.pickle_size import TensorSpec
from app.network.shape import NetworkShape

EXPORT_FORMAT = "caliper-export/1"

_SHA256_DIGITS = 64
_FLOAT_WIDTH = 24  # of -2.2250738585072014e-308, the longest
_MOST_VALUES = 10_000


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an exported policy comes from; what is empty is left out."""

    feature_schema: Any = None
    """The ordered features: a dict with names, account, lookback and hash, or a list of names."""
    normaliser: Any = None
    """The frozen scaler of the features, as plain values."""
    dataset: Any = None
    """The bars, or several under `datasets`, and the job."""
    source_sha256: str = "0" * _SHA256_DIGITS
    """Hash of the checkpoint; zeros, as long, before there is one."""

    @classmethod
    def before_training(cls, provenance: Provenance | None) -> Self:
        """What will stand in an export of a run's checkpoint."""
        about = provenance or Provenance()
        return cls(about.feature_schema, about.normaliser, about.dataset)


def exported_tensors(shape: NetworkShape, config: PPOConfig) -> dict[str, TensorSpec]:
    """The tensors of an export: the policy's, and what scales observations where the policy was trained so."""
    scaling = (OBS_MEAN, OBS_SCALE) if config.norm_obs else ()
    return {**policy_specs(shape), **{name: TensorSpec((shape.obs_dim,)) for name in scaling}}


def export_metadata(shape: NetworkShape, config: PPOConfig, origin: Origin) -> dict[str, str]:
    """The metadata, in the order of writing."""
    return {
        "format": EXPORT_FORMAT,
        "obs_dim": str(shape.obs_dim),
        "hidden_dims": ",".join(map(str, shape.hidden_dims)),
        "action_dim": str(shape.action_dim),
        "action_kind": shape.action_kind,
        "activation": config.activation,
        "layer_norm": _flag(shape.layer_norm),
        "shared_trunk": _flag(shape.shared_trunk),
        "norm_obs": _flag(config.norm_obs),
        **_features(origin.feature_schema),
        **_scaler(origin.normaliser),
        **_bars(origin.dataset),
        "source_sha256": origin.source_sha256,
    }


def _features(schema: Any) -> dict[str, str]:
    """Names in order, the account's, the window, and the hash that says what they mean."""
    said = schema if isinstance(schema, Mapping) else {"names": schema}
    found: dict[str, str] = {}
    for key, name in (("names", "features"), ("account", "account_features")):
        listed = said.get(key)
        if isinstance(listed, list | tuple) and listed and all(isinstance(item, str) for item in listed):
            found[name] = json.dumps(list(listed), ensure_ascii=False)
    for key, name in (("lookback", "lookback"), ("hash", "feature_schema_sha256")):
        if isinstance(said.get(key), int | str):
            found[name] = str(said[key])
    return found


def _scaler(normaliser: Any) -> dict[str, str]:
    """The scaler as JSON, its numbers padded to one width; left out where it is huge or not plain."""
    if not normaliser or _count(normaliser) > _MOST_VALUES:
        return {}
    try:
        return {"feature_scaler": _padded(normaliser)}
    except TypeError:
        return {}


def _bars(dataset: Any) -> dict[str, str]:
    if not isinstance(dataset, Mapping):
        return {}
    listed = dataset.get("datasets")
    bars = listed if isinstance(listed, list | tuple) else [dataset]
    hashes = [bar.get("sha256") for bar in bars if isinstance(bar, Mapping)]
    found = {"dataset_sha256": ",".join(each for each in hashes if isinstance(each, str))}
    found |= {"job_id": dataset["job_id"]} if isinstance(dataset.get("job_id"), str) else {}
    return {name: text for name, text in found.items() if text}


def _padded(value: Any) -> str:
    """JSON in which every float takes as much room as the longest; raises TypeError for what is not plain."""
    if isinstance(value, float):
        return f"{json.dumps(value):>{_FLOAT_WIDTH}}"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{json.dumps(str(key))}:{_padded(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_padded, value))}]"
    return json.dumps(value)


def _count(value: Any) -> int:
    items = value.values() if isinstance(value, Mapping) else value
    return sum(map(_count, items)) if isinstance(value, Mapping | list | tuple) else 1


def _flag(value: bool) -> str:  # noqa: FBT001
    return "true" if value else "false"
