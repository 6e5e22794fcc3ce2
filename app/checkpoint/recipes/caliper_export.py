"""Exports that Caliper wrote (safetensors, ONNX): a state dict of its layout beside metadata that describe it.

What app.network.disk.export_metadata writes stands in safetensors' `__metadata__` and in ONNX's metadata_props. It is
believed like a config: held against the shapes, and of ONNX against the graph, which counts where they differ.
"""

import json
from collections.abc import Callable
from typing import Any

from app.checkpoint.architecture import Architecture
from app.checkpoint.graph import Graph
from app.checkpoint.recipes import onnx
from app.checkpoint.recipes.caliper import is_weights_only, read_named
from app.checkpoint.recipes.recipe import Parts, Recipe
from app.checkpoint.values import Table

FORMAT = "caliper-export/"
SCALING = "obs_normaliser."
"""What the names of tensors that scale observations begin with."""

_MOST_TEXT = 1 << 20


def is_export(root: Any) -> bool:
    """Whether the metadata say so and the tensors are of the layout."""
    said = _metadata(root).get("format")
    return isinstance(said, str) and said.startswith(FORMAT) and is_weights_only(root)


def parts(root: Table) -> Parts:
    """The network's tensors, what scales observations, and the metadata."""
    said = _metadata(root)
    weights = Table([pair for pair in root.pairs if not str(pair[0]).startswith(SCALING)])
    scaling = Table([pair for pair in root.pairs if str(pair[0]).startswith(SCALING)])
    graph = root.attributes
    return Parts(
        state=weights,
        config=_config(said),
        feature_schema=_schema(said),
        statistics=scaling if scaling.pairs else None,
        normaliser=_parsed(said.get("feature_scaler"), dict),
        versions=onnx.parts(root).versions if isinstance(graph, Graph) else None,
        dataset=_dataset(said),
    )


def read(root: Table) -> Architecture:
    """The network by its names and the metadata; by the graph where that says something else."""
    named = read_named(parts(root).state, _config(_metadata(root)))
    if not isinstance(root.attributes, Graph):
        return named
    drawn = onnx.read(root)
    return named if _way(named) == _way(drawn) else drawn


def _way(facts: Architecture) -> tuple[Any, ...]:
    """From the observation to the action: every width in order, wherever the head begins."""
    hidden, head = facts.hidden_dims.value, facts.actor_head.value
    layers = (*hidden, *head) if isinstance(hidden, tuple) and isinstance(head, tuple) else None
    return facts.obs_dim.value, layers, facts.layer_norm.value


def _metadata(root: Any) -> Table:
    """Names to text, as either container has it."""
    said = root.attributes if isinstance(root, Table) else None
    if isinstance(said, Graph):
        return Table.of(dict(said.metadata))
    return said if isinstance(said, Table) else Table()


def _config(said: Table) -> Table:
    """The described network, as a Caliper checkpoint's config has it."""
    read_as: dict[str, Callable[[str], Any]] = {
        "obs_dim": int,
        "hidden_dims": lambda text: [int(width) for width in text.split(",")[:64]],
        "action_dim": int,
        "action_kind": str,
        "activation": str,
        "layer_norm": lambda text: text == "true",
        "shared_trunk": lambda text: text == "true",
        "norm_obs": lambda text: text == "true",
    }
    found: dict[str, Any] = {}
    for name, convert in read_as.items():
        text = said.get(name)
        if isinstance(text, str) and len(text) <= 512:
            try:
                found[name] = convert(text)
            except ValueError:
                continue
    return Table.of(found)


def _schema(said: Table) -> Table | None:
    names = _parsed(said.get("features"), list)
    if names is None:
        return None
    lookback = said.get("lookback")
    whole = isinstance(lookback, str) and lookback.isascii() and lookback.isdigit() and len(lookback) < 10
    return Table.of(
        {
            "names": names,
            "account": _parsed(said.get("account_features"), list) or [],
            "hash": said.get("feature_schema_sha256"),
            **({"lookback": int(str(lookback))} if whole else {}),
        }
    )


def _dataset(said: Table) -> Table | None:
    found = {name: said.get(name) for name in ("job_id", "dataset_sha256", "source_sha256")}
    kept = {name: text for name, text in found.items() if isinstance(text, str)}
    return Table.of(kept) if kept else None


def _parsed(text: Any, kind: type) -> Any:
    """JSON of this kind as inert values; None for anything else."""
    if not isinstance(text, str) or len(text) > _MOST_TEXT:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return _inert(value) if isinstance(value, kind) else None


def _inert(value: Any, depth: int = 0) -> Any:
    if isinstance(value, dict):
        return (
            Table.of({name: _inert(item, depth + 1) for name, item in value.items()}) if depth < 8 else None
        )
    if isinstance(value, list):
        return [_inert(item, depth + 1) for item in value] if depth < 8 else None
    return value


EXPORT = Recipe("caliper", is_export, parts, read)
