"""A checkpoint's feature schema, in whichever of the usual forms it stands."""

import hashlib
import json
from typing import Any

from app.checkpoint.findings import Findings, printable
from app.checkpoint.report import FeatureSchema
from app.checkpoint.values import Table, fields_of

_LIST_KEYS = ("names", "features", "columns", "feature_names")
_MOST = 100_000
_MOST_NAME = 256
_HASHED = ("account", "library", "lookback", "masked", "names", "parameters", "version")
"""The fields of Caliper's own schema that its hash is of."""


def read_features(value: Any) -> FeatureSchema | None:
    """The schema of a list of names, of a list of named entries, or of an object that holds one."""
    if isinstance(value, (list, tuple)):
        return _schema(value, Table())
    table = fields_of(value)
    if table is None:
        return None
    listed = next((table.get(k) for k in _LIST_KEYS if k in table), None)
    return _schema(listed, table) if isinstance(listed, (list, tuple)) else None


def check_features(schema: FeatureSchema, obs_dim: Any, findings: Findings) -> None:
    """Note a schema whose hash is not of its own fields, or that does not fill the network's input."""
    if schema.hash_holds is False:
        text = "the schema's hash is not that of its fields: it was changed after it was written"
        findings.add("schema_hash", "medium", "feature_schema", text)
    width = schema.obs_dim
    if width is not None and type(obs_dim) is int and width != obs_dim:
        text = f"the schema's features make observations of {width:,}, the network takes {obs_dim:,}"
        findings.add("schema_width", "medium", "feature_schema", text)


def _schema(listed: list[Any] | tuple[Any, ...], table: Table) -> FeatureSchema | None:
    names = _names(listed)
    if not names:
        return None
    lookback = table.get("lookback")
    digest = _text(table, "sha256", "hash", "schema_hash")
    return FeatureSchema(
        names,
        _text(table, "version", "schema_version"),
        digest,
        lookback if type(lookback) is int and 0 < lookback < 1 << 31 else None,
        _names(table.get("account")),
        _names(table.get("masked")),
        _text(table, "library"),
        _hash_holds(table, digest),
    )


def _names(listed: Any) -> tuple[str, ...]:
    """The names; empty unless all entries have one."""
    items = listed[:_MOST] if isinstance(listed, (list, tuple)) else []
    found = [_name(item) for item in items]
    return tuple(printable(name) for name in found if name is not None) if None not in found else ()


def _hash_holds(table: Table, digest: str | None) -> bool | None:
    """Whether the hash is that of the fields; None where they are not those of Caliper's own schema."""
    if digest is None or not all(name in table for name in _HASHED):
        return None
    try:
        hashed = (*_HASHED, "own") if "own" in table else _HASHED
        plain = {name: _plain(table.get(name)) for name in hashed}
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError):
        return False
    return hashlib.sha256(text.encode()).hexdigest() == digest


def _plain(value: Any) -> Any:
    """A flat value as JSON writes it; raises TypeError for what nests deeper, which no schema does."""
    if isinstance(value, Table):
        return {str(_leaf(key)): _leaf(item) for key, item in value.pairs[:_MOST]}
    if isinstance(value, (list, tuple)):
        return [_leaf(item) for item in value[:_MOST]]
    return _leaf(value)


def _leaf(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str) and len(value) <= _MOST_NAME:
        return value
    raise TypeError


def _name(item: Any) -> str | None:
    entry = fields_of(item)
    found = entry.get("name") if entry is not None else item
    return found if isinstance(found, str) else None


def _text(table: Table, *keys: str) -> str | None:
    found = next((table.get(key) for key in keys if key in table), None)
    return printable(str(found), 128) if isinstance(found, (str, int)) else None
