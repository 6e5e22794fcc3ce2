"""The parameters of an operation as the API documents them: what forms are made of, so that both always agree."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from app.client.calls import Call
from app.ui.service import PageClient


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query."""

    name: str
    """Its name."""
    description: str
    """What it is, in a sentence or two."""
    default: str
    """What holds where it is left out; empty where it must be given or nothing holds."""
    choices: tuple[str, ...]
    """What is allowed, where that is a list."""
    kind: str
    """Its JSON type."""

    @property
    def inputmode(self) -> str:
        """The keyboard that a phone shows."""
        return "numeric" if self.kind == "integer" else "decimal" if self.kind == "number" else ""


async def read_parameters(request: Request, service: PageClient, path: str) -> dict[str, Parameter]:
    """The query parameters of GET `path` by name, in the document's order; read once for an app."""
    known: dict[str, dict[str, Parameter]] = request.app.state._state.setdefault("page_parameters", {})  # noqa: SLF001
    if path not in known:
        call: Call[Any] = Call(method="GET", path="/openapi.json")
        document = await service.ask(call)
        listed = document["paths"][path]["get"].get("parameters", [])
        known[path] = {each["name"]: _parameter(each) for each in listed if each["in"] == "query"}
    return known[path]


def spell(value: Any) -> str:
    """A JSON value as a query has it."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parameter(documented: Mapping[str, Any]) -> Parameter:
    schema = _not_null(documented["schema"])
    kind = str(schema.get("type", "string"))
    choices = ("true", "false") if kind == "boolean" else tuple(map(str, schema.get("enum", ())))
    default = spell(documented["schema"].get("default"))
    return Parameter(
        documented["name"], " ".join(documented.get("description", "").split()), default, choices, kind
    )


def _not_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of a value that may also be null, without the null."""
    options = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    return options[0] if options else schema
