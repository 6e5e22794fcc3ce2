"""JSON as Python has it."""

from typing import Any

Json = dict[str, Any]
"""A JSON object, as the service's OpenAPI document describes it."""
