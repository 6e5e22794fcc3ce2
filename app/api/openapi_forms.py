"""Forms and parameters in the OpenAPI document as HTTP has them: a form with a file is multipart, and nothing is null."""

from typing import Any

FIELDS = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


def describe_forms(document: dict[str, Any]) -> None:
    """Correct what FastAPI writes of forms and parameters.

    It takes a form whose file may be left out for one without a file, and lets what may be left out be null as well, which
    neither a form nor a query nor a header can say.
    """
    schemas = document["components"]["schemas"]
    for item in document["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])
            content = operation.get("requestBody", {}).get("content", {})
            if FIELDS in content:
                content[MULTIPART] = content.pop(FIELDS)
            if MULTIPART in content:
                name = content[MULTIPART]["schema"]["$ref"].rpartition("/")[2]
                fields = schemas[name]["properties"]
                fields.update({field: _without_null(schema) for field, schema in fields.items()})


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    others = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**kinds[0], **others}
