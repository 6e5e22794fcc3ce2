"""The OpenAPI document: FastAPI's, with the one schema of all problems in it."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from app.api.links import add_links
from app.api.openapi_forms import describe_forms
from app.api.problems import Problem
from app.api.roles import is_open

DESCRIPTION = """Size, train, inspect and compare PPO networks for trading.

Every error is an `application/problem+json` document with `code`, `detail`, `hint` and, where one value is at
fault, its `pointer`. Lists are paged: give `next_cursor` back as `cursor`; `fields=id,name` shows these fields alone. Unknown parameters are refused.
Where keys are on (`CALIPER_REQUIRE_KEYS`), every request carries one: `Authorization: Bearer <key>`.
"""
TAGS = [
    {"name": "sizes", "description": "What a network is and needs; computed, nothing is stored."},
    {"name": "datasets", "description": "Validated bars."},
    {"name": "jobs", "description": "Training, from submission to the last event."},
    {"name": "checkpoints", "description": "Files that are read without running them."},
    {"name": "keys", "description": "Who may ask, and who changed what."},
    {"name": "service", "description": "Whether the service works."},
]
REF = "#/components/schemas/{model}"


def describe_api(app: FastAPI) -> dict[str, Any]:
    """The document, made once and kept on the app."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes, tags=TAGS
        )
        schema = TypeAdapter(Problem).json_schema(ref_template=REF)
        parts = {**schema.pop("$defs", {}), "Problem": schema}
        document.setdefault("components", {}).setdefault("schemas", {}).update(parts)
        describe_forms(document)
        add_links(document)
        _add_security(app, document)
        app.openapi_schema = document
    return app.openapi_schema


def _add_security(app: FastAPI, document: dict[str, Any]) -> None:
    """Say how a key is sent; and, of a service whose keys are on, which operations need none."""
    schemes = {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key: POST /keys makes one."}
    }
    document["components"]["securitySchemes"] = schemes
    parts = getattr(app.state, "parts", None)
    if parts is None or not parts.settings.require_keys:
        return
    document["security"] = [{"key": []}]
    for path, methods in document["paths"].items():
        for operation in methods.values() if is_open(path) else ():
            operation["security"] = []
