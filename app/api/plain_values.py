"""JSON's values as they are: true is not 1, 0 is not false, and "512" is not 512, where a body's dataclass asks for them."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, get_args, get_type_hints

from app.errors import InvalidInput


def require_plain(value: Any, kind: Any) -> None:
    """Raise InvalidInput for a value that is not what `kind` takes, and that pydantic would turn into it.

    A slip in a script would then be a setting that nobody chose.
    """
    for path, found, wanted in _strays(value, kind, ()):
        pointer = "/".join(path)
        raise InvalidInput(
            f"{pointer}: {found!r:.80} is no {wanted}", hint=f"a JSON {wanted}", pointer=pointer
        )


def _strays(value: Any, kind: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, str]]:
    """Where a number or a truth value should be and is not; what is wrong in another way is left to the validation."""
    kinds = _alternatives(kind)
    if isinstance(value, dict):
        hints = next((_hints(each) for each in kinds if isinstance(each, type) and is_dataclass(each)), {})
        for name, inner in value.items():
            if name in hints:
                yield from _strays(inner, hints[name], (*path, name))
    elif isinstance(value, list):
        items = [item for each in kinds for item in get_args(each) if item is not Ellipsis]
        for place, inner in enumerate(value) if items else ():
            yield from _strays(inner, items[0], (*path, str(place)))
    elif (wanted := _wanted(value, set(kinds))) is not None:
        yield path, value, wanted


def _wanted(value: Any, kinds: set[Any]) -> str | None:
    """What should stand in the value's place; None where it is right, or wrong in another way."""
    numbers = bool({int, float} & kinds)
    if datetime in kinds and not numbers and _is_numeric(value):
        return "date and time"
    if isinstance(value, bool):
        return "number" if numbers and bool not in kinds else None
    if isinstance(value, str):
        asked = "number" if numbers else "truth value" if bool in kinds else None
        return asked if str not in kinds else None
    is_number = isinstance(value, int | float)
    return "truth value" if is_number and bool in kinds and not numbers else None


def _alternatives(kind: Any) -> tuple[Any, ...]:
    """The types of `A | B | None` and of Annotated ones, one by one."""
    if hasattr(kind, "__metadata__"):
        return _alternatives(kind.__origin__)
    inner = get_args(kind)
    if not inner or getattr(kind, "__origin__", None) in {list, tuple, dict, set, frozenset}:
        return (kind,)
    return tuple(each for part in inner for each in _alternatives(part))


def _is_numeric(value: Any) -> bool:
    """Whether it would be taken for the seconds of an epoch."""
    text = value if isinstance(value, str) else ""
    return isinstance(value, bool | int | float) or re.fullmatch(r"\s*[-+]?[0-9_.]+\s*", text) is not None


@lru_cache(maxsize=256)
def _hints(owner: type) -> dict[str, Any]:
    known = get_type_hints(owner, include_extras=True)
    return {item.name: known[item.name] for item in fields(owner)}
