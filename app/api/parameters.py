"""Descriptions of a dataclass's fields, used again: in queries, in forms, in the dataclasses that extend it."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, get_type_hints

from pydantic import TypeAdapter

from app.network.shape import DOCUMENTED


def fields_as(
    kind: Any, owner: type, names: tuple[str, ...] = ()
) -> Callable[..., Awaitable[dict[str, Any]]]:
    """A dependency that reads these fields (all where none is named), with types, defaults and descriptions.

    `kind` is fastapi.Query or fastapi.Form. It gives the values by name; checking them is the dataclass's
    own work.
    """
    known = {item.name: item for item in fields(owner)}
    schema = TypeAdapter(owner).json_schema()["properties"]
    hints = get_type_hints(owner)

    async def read_fields(**values: Any) -> dict[str, Any]:
        return values

    read_fields.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if known[name].default is MISSING else known[name].default,
                annotation=Annotated[hints[name], kind(description=schema[name].get("description"))],
            )
            for name in names or known
        ]
    )
    return read_fields


def documented_like(parent: type) -> dict[str, Any]:
    """Pydantic's settings of a dataclass that extends `parent`: it reads the docstrings of a class itself only."""
    ancestors = [kind for kind in reversed(parent.__mro__) if is_dataclass(kind)]
    known = {
        name: field
        for kind in ancestors
        for name, field in TypeAdapter(kind).json_schema()["properties"].items()
        if "description" in field
    }

    def describe_inherited(schema: dict[str, Any]) -> None:
        for name, field in schema["properties"].items():
            if name in known:
                field.setdefault("description", known[name]["description"])

    return {**DOCUMENTED, "json_schema_extra": describe_inherited}
