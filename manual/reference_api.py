"""The reference of the REST API, from the OpenAPI document that the service itself answers with."""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from app.main import create_app
from app.settings import Settings

Json = Mapping[str, Any]

API, SCHEMAS = "reference/api.md", "reference/schemas.md"

METHODS = ("get", "head", "post", "put", "patch", "delete")


def api_pages() -> dict[str, str]:
    """Path of each page -> its Markdown."""
    document = describe_service()
    return {
        API: "\n\n".join(_operations(document)) + "\n",
        SCHEMAS: "\n\n".join(_schemas(document["components"]["schemas"])) + "\n",
    }


def describe_service() -> dict[str, Any]:
    """The OpenAPI document; no server is started, and what the service keeps lies in a folder that goes again."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(data_dir=Path(folder)))
        document: dict[str, Any] = app.openapi()
        app.state.parts.queue.close()
        app.state.parts.database.close()
    return document


def _operations(document: Json) -> Iterator[str]:
    yield f"# The API\n\n{document['info']['description']}\n"
    yield "Generated from the service's OpenAPI document, which it answers at `/openapi.json`; `/docs` lets you try it."
    described = {tag["name"]: tag["description"] for tag in document["tags"]}
    found = [
        (operation["tags"][0], method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]
    for tag in dict.fromkeys([*described, *(each[0] for each in found)]):
        yield f"## {tag.capitalize()}\n\n{described.get(tag, '')}"
        for _, method, path, operation in (each for each in found if each[0] == tag):
            yield "\n\n".join(_operation(method.upper(), path, operation))


def _operation(method: str, path: str, operation: Json) -> Iterator[str]:
    yield f"### {operation['summary']}\n\n`{method} {path}`"
    yield _text(operation.get("description", ""))
    parameters = operation.get("parameters", [])
    if parameters:
        rows = (_parameter(each) for each in parameters)
        yield "| parameter | in | type | default | |\n|---|---|---|---|---|\n" + "\n".join(rows)
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"Body: `{kind}`, {_type(content['schema'])}" + _example(content)
    for status, response in operation["responses"].items():
        yield "\n\n".join(_response(status, response))


def _parameter(parameter: Json) -> str:
    schema = parameter["schema"]
    default = "required" if parameter.get("required") else _code(schema.get("default"))
    about = _cell(parameter.get("description", ""))
    return f"| `{parameter['name']}` | {parameter['in']} | {_type(schema)} | {default} | {about} |"


def _response(status: str, response: Json) -> Iterator[str]:
    contents = response.get("content", {})
    kinds = ", ".join(f"`{kind}` {_type(content.get('schema', {}))}" for kind, content in contents.items())
    about = response.get("description", "")
    listed = "\n\n" if about.startswith("- ") else " "
    yield f"**{status}**{f' {kinds}' if kinds else ''}{listed}{_text(about)}"
    if status.startswith("2"):
        yield from filter(None, (_example(content).strip() for content in contents.values()))


def _schemas(schemas: Json) -> Iterator[str]:
    yield "# The API's types\n\nThe members of what the API takes and answers, generated from its OpenAPI document."
    for name, schema in sorted(schemas.items()):
        rows = [
            f"| `{member}` | {_type(inner, SCHEMAS)} | {_cell(inner.get('description', ''))} |"
            for member, inner in schema.get("properties", {}).items()
        ]
        values = ", ".join(_code(value) for value in schema.get("enum", ()))
        table = "| member | type | |\n|---|---|---|\n" + "\n".join(rows) if rows else ""
        yield "\n\n".join(
            filter(
                None,
                (f"## {name}", _text(schema.get("description", "")), values and f"One of {values}.", table),
            )
        )


def _type(schema: Json, page: str = API) -> str:
    """A schema in words, with links to the types that it names."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}]({'' if page == SCHEMAS else 'schemas.md'}#{name.lower()})"
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(_type(each, page) for each in schema[key]))
    if "enum" in schema or "const" in schema:
        return ", ".join(_code(value) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}), page)}"
    return f"{schema.get('type', 'anything')}{' (' + schema['format'] + ')' if 'format' in schema else ''}"


def _example(content: Json) -> str:
    examples = [each.get("value") for each in content.get("examples", {}).values()]
    example = content.get("example", examples[0] if examples else None)
    if example is None:
        return ""
    text = example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)
    return f"\n\n````text\n{text.rstrip()}\n````"


def _code(value: Any) -> str:
    return "" if value is None else f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _cell(text: str) -> str:
    return _text(re.sub(r"\s+", " ", text)).replace("|", "\\|")


def _text(text: str) -> str:
    return text.replace("<", "&lt;")
