"""Untrusted JSON to inert values: duplicate keys noted, depth and digits bounded."""

import json
from typing import Any

from app.checkpoint.contents import Context
from app.checkpoint.values import Table
from app.errors import UnreadableCheckpoint


def read_json(data: bytes, context: Context, location: str) -> Any:
    """The document with its objects as tables; raises UnreadableCheckpoint where it is malformed."""
    context.meter.check("max_json_bytes", len(data))
    # Every value but the first follows one of these; parsed, a value of two bytes takes a hundred.
    context.meter.check("max_json_values", sum(data.count(sign) for sign in (b",", b"[", b"{")))

    def table(pairs: list[tuple[str, Any]]) -> Table:
        if len({key for key, _ in pairs}) != len(pairs):
            text = "a JSON object has the same key twice: readers differ in which one they take"
            context.findings.add("duplicate_key", "high", location, text)
        return Table(pairs)

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=table)
    except RecursionError:
        raise UnreadableCheckpoint(f"{location}: the JSON nests too deeply", pointer=location) from None
    except ValueError as error:  # malformed JSON, UTF-8, or a number of more than 4,300 digits
        raise UnreadableCheckpoint(
            f"{location}: no valid JSON ({str(error)[:120]})", pointer=location
        ) from None
