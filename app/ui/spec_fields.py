"""The fields of a request's body as the API documents them: what forms are made of, so that both always agree."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from app.client.calls import Call
from app.ui.parameters import spell
from app.ui.service import PageClient

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BodyField:
    """One value of a body; what lies deeper has the names of what it lies in as its path."""

    path: tuple[str, ...]
    """Names from the body's top to the field."""
    kind: str
    """Its JSON type; `integers`, `numbers` or `strings` for a list of them."""
    description: str
    """What it is, in a sentence or two."""
    default: str
    """What holds where it is left out; empty where it must be given or nothing holds."""
    choices: tuple[str, ...]
    """What is allowed, where that is a list."""
    is_required: bool
    """Whether it must be given."""

    @property
    def name(self) -> str:
        """Its own name, which its form field has too."""
        return self.path[-1]

    @property
    def inputmode(self) -> str:
        """The keyboard that a phone shows."""
        return {"integer": "numeric", "number": "decimal"}.get(self.kind, "")


async def read_body_fields(request: Request, service: PageClient, path: str) -> dict[str, BodyField]:
    """The fields of the body of POST `path` by name, in the document's order; read once for an app."""
    known: dict[str, dict[str, BodyField]] = request.app.state._state.setdefault("page_fields", {})  # noqa: SLF001
    if path not in known:
        call: Call[Any] = Call(method="GET", path="/openapi.json")
        document = await service.ask(call)
        content = document["paths"][path]["post"]["requestBody"]["content"]
        schemas = document["components"]["schemas"]
        schema = next(iter(content.values()))["schema"]
        known[path] = {each.name: each for each in _leaves(schema, schemas, ())}
    return known[path]


def _leaves(schema: Json, schemas: Json, path: tuple[str, ...]) -> Iterator[BodyField]:
    owner = _resolve(schema, schemas)
    required = owner.get("required", ())
    for name, documented in owner.get("properties", {}).items():
        inner = _resolve(documented, schemas)
        if "properties" in inner:
            yield from _leaves(inner, schemas, (*path, name))
        else:
            yield _leaf((*path, name), documented, inner, is_required=name in required)


def _leaf(path: tuple[str, ...], documented: Json, schema: Json, *, is_required: bool) -> BodyField:
    kind = str(schema.get("type", "string"))
    if kind == "array":
        kind = f"{schema['items'].get('type', 'string')}s"
    choices = ("true", "false") if kind == "boolean" else tuple(map(str, schema.get("enum", ())))
    description = " ".join(documented.get("description", "").replace("`", "").split())
    return BodyField(path, kind, description, _spell_default(documented.get("default")), choices, is_required)


def _spell_default(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_spell_default, value))
    return f"{value:.12g}" if isinstance(value, float) else spell(value)


def _resolve(schema: Json, schemas: Json) -> Json:
    """The schema that is meant, without references and without the null that it may also be."""
    options = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    chosen = options[0] if options else schema
    return _resolve(schemas[chosen["$ref"].rpartition("/")[2]], schemas) if "$ref" in chosen else chosen
