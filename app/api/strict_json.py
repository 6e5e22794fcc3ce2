"""JSON whose meaning is not in doubt (RFC 8259): no name twice in an object, no NaN, no number beyond a float's."""

import json
import math
from typing import Any

from app.errors import InvalidInput


def read_json(body: bytes) -> Any:
    """The value of a document.

    Raises InvalidInput for what parsers read in different ways, json.JSONDecodeError for what is no JSON.
    """
    return json.loads(
        body, object_pairs_hook=_read_object, parse_constant=_refuse_constant, parse_float=_read_number
    )


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        double = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        shown = double[:80]
        raise InvalidInput(f"the field {shown!r} is given twice", hint="give it once", pointer=shown)
    return found


def _refuse_constant(name: str) -> float:
    raise InvalidInput(f"the body holds {name}, which JSON does not have", hint="finite numbers, or null")


def _read_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InvalidInput(f"the number {text[:40]} is too large", hint="at most about 1.8e308")
    return number
