"""The OpenAPI document: FastAPI's, with the one schema of all problems in it."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from app.api.problems import Problem

DESCRIPTION = """Size, train, inspect and compare PPO networks for trading.

Every error is an `application/problem+json` document with `code`, `detail`, `hint` and, where one value is at
fault, its `pointer`. Lists are paged: give `next_cursor` back as `cursor`. Unknown parameters are refused.
"""
TAGS = [
    {"name": "sizes", "description": "What a network is and needs; computed, nothing is stored."},
    {"name": "datasets", "description": "Validated bars."},
    {"name": "jobs", "description": "Training, from submission to the last event."},
    {"name": "checkpoints", "description": "Files that are read without running them."},
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
        app.openapi_schema = document
    return app.openapi_schema
