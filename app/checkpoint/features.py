"""A checkpoint's feature schema, in whichever of the usual forms it stands."""

from typing import Any

from app.checkpoint.findings import printable
from app.checkpoint.report import FeatureSchema
from app.checkpoint.values import Table, fields_of

_LIST_KEYS = ("names", "features", "columns", "feature_names")
_MOST = 100_000


def read_features(value: Any) -> FeatureSchema | None:
    """The schema of a list of names, of a list of named entries, or of an object that holds one."""
    if isinstance(value, (list, tuple)):
        return _schema(value, None)
    table = fields_of(value)
    listed = next((table.get(k) for k in _LIST_KEYS if k in table), None) if table is not None else None
    return _schema(listed, table) if isinstance(listed, (list, tuple)) else None


def _schema(listed: list[Any] | tuple[Any, ...], table: Table | None) -> FeatureSchema | None:
    names = [_name(item) for item in listed[:_MOST]]
    if not names or None in names:
        return None
    version = _text(table, "version", "schema_version")
    digest = _text(table, "sha256", "hash", "schema_hash")
    return FeatureSchema(tuple(printable(name) for name in names if name is not None), version, digest)


def _name(item: Any) -> str | None:
    entry = fields_of(item)
    found = entry.get("name") if entry is not None else item
    return found if isinstance(found, str) else None


def _text(table: Table | None, *keys: str) -> str | None:
    found = next((table.get(key) for key in keys if key in table), None) if table is not None else None
    return printable(str(found), 128) if isinstance(found, (str, int)) else None
