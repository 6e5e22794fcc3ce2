"""Numbers that are numbers: JSON's true is not 1, and "512" is not 512, where a body's dataclass asks for a number."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, get_args, get_type_hints

from app.errors import InvalidInput


def require_numbers(value: Any, kind: Any) -> None:
    """Raise InvalidInput for a truth value or a text where `kind` takes a number and neither of them.

    Pydantic would read them as numbers: a slip in a script would then be a setting that nobody chose.
    """
    for path, found in _strays(value, kind, ()):
        pointer = "/".join(path)
        shown = repr(found)[:80]
        raise InvalidInput(f"{pointer}: {shown} is no number", hint="a JSON number", pointer=pointer)


def _strays(value: Any, kind: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Where a number should be and is not; what is wrong in another way is left to the validation."""
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
    elif isinstance(value, bool | str) and {int, float} & set(kinds) and type(value) not in kinds:
        yield path, value


def _alternatives(kind: Any) -> tuple[Any, ...]:
    """The types of `A | B | None` and of Annotated ones, one by one."""
    if hasattr(kind, "__metadata__"):
        return _alternatives(kind.__origin__)
    inner = get_args(kind)
    if not inner or getattr(kind, "__origin__", None) in {list, tuple, dict, set, frozenset}:
        return (kind,)
    return tuple(each for part in inner for each in _alternatives(part))


@lru_cache(maxsize=256)
def _hints(owner: type) -> dict[str, Any]:
    known = get_type_hints(owner, include_extras=True)
    return {item.name: known[item.name] for item in fields(owner)}
