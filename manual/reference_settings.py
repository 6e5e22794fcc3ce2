"""The reference of settings, from app/settings.py: each variable with its type, limits, default and docstring."""

import re
from typing import Any

from app.settings import ENV_PREFIX, Settings

COMPUTED = {"database_url": "`sqlite:///` + data_dir + `/caliper.db`", "redis_url": "a socket below data_dir"}
"""Defaults that depend on another setting."""

HEAD = """# Settings

Read from the environment by API, worker and the one-machine stack; an empty variable counts as unset. Passwords are
never printed. This page is generated from `app/settings.py`.

"""


def settings_page() -> str:
    """The page in Markdown."""
    described = Settings.model_json_schema(mode="validation")["properties"]
    return HEAD + "\n\n".join(_entry(name, schema) for name, schema in described.items()) + "\n"


def _entry(name: str, schema: dict[str, Any]) -> str:
    default = COMPUTED.get(name) or _default(schema.get("default"))
    text = re.sub(r"\s+", " ", schema["description"])
    return f"## `{ENV_PREFIX}{name.upper()}`\n\n{text}\n\n{_kind(schema)}; default: {default}"


def _default(value: Any) -> str:
    return "none" if value in (None, "") else f"`{value}`"


def _kind(schema: dict[str, Any]) -> str:
    """The values that are allowed, in words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return "One of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return "empty"
    names = {"integer": "Whole number", "number": "Number", "boolean": "`true` or `false`", "null": "unset"}
    bounds = [
        f"{word} {schema[key]:,}"
        for key, word in (("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "to"))
        if key in schema
    ]
    pattern = f"matching `{schema['pattern']}`" if "pattern" in schema else ""
    return " ".join([names.get(schema.get("type", ""), "Text"), *bounds, pattern]).strip()
