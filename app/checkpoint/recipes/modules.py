"""Pickled and scripted torch modules: the state dict that one would give, and what its classes tell."""

from collections.abc import Iterator
from typing import Any

from app.checkpoint.values import Made, Name, Table, Tensor, fields_of

_MOST_NAME = 512
_ACTIVATIONS = frozenset(
    {"tanh", "relu", "elu", "silu", "gelu", "selu", "leakyrelu", "sigmoid", "softplus", "mish", "hardswish"}
)


def state_of(root: Any) -> Table:
    """The state dict that the module would give; each submodule is entered once."""
    state = Table()
    for path, _, found in _walk(root):
        is_torch = "_modules" in found
        held = [found.get("_parameters"), found.get("_buffers")] if is_torch else [found]
        state.pairs += [(path + n, v) for table in held for n, v in _named(table) if isinstance(v, Tensor)]
    return state


def activation_of(root: Any) -> str | None:
    """The activation that the first activation module is of, where there is one."""
    names = (module.function.name for _, module, _ in _walk(root) if isinstance(module.function, Name))
    return next((name.lower() for name in names if name.lower() in _ACTIVATIONS), None)


def flag_of(root: Any, name: str) -> bool | None:
    """The attribute of that name that the first module with one has, where it is true or false."""
    held = (found.get(name) for _, _, found in _walk(root) if name in found)
    return next((value for value in held if isinstance(value, bool)), None)


def class_name(root: Any) -> str:
    """The dotted name of an object's class; empty where it is none."""
    return str(root.function) if isinstance(root, Made) and isinstance(root.function, Name) else ""


def _walk(root: Any) -> Iterator[tuple[str, Made, Table]]:
    """(path with its dot, module, its attributes), in the order of definition."""
    seen = set[int]()
    waiting = [("", root)]
    while waiting:
        path, module = waiting.pop()
        found = fields_of(module)
        if found is None or id(module) in seen or not isinstance(module, Made):
            continue
        seen.add(id(module))
        yield path, module, found
        below = _named(found.get("_modules") if "_modules" in found else found)
        inner = [(f"{path}{n}."[-_MOST_NAME:], v) for n, v in below if isinstance(v, Made)]
        waiting += reversed(inner)


def _named(value: Any) -> list[tuple[str, Any]]:
    pairs = value.pairs if isinstance(value, Table) else []
    return [(key, item) for key, item in pairs if isinstance(key, str)]
