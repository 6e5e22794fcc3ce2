"""A whole pickled module: its state dict is gathered by walking `_modules`, `_parameters` and `_buffers`.

A TorchScript module has its tensors and submodules as plain attributes.
"""

from typing import Any

from app.checkpoint.architecture import Architecture, shapes_of
from app.checkpoint.recipes import generic
from app.checkpoint.recipes.recipe import Parts, Recipe
from app.checkpoint.values import Made, Table, Tensor, fields_of

_MOST_NAME = 512


def recognise(root: Any) -> bool:
    """Whether the root is an object with tensors or submodules among its attributes."""
    return isinstance(root, Made) and root.is_new and bool(state_of(root).pairs)


def state_of(root: Any) -> Table:
    """The state dict that the module would give; each submodule is entered once."""
    state, seen = Table(), set[int]()
    waiting = [("", root)]
    while waiting:
        path, module = waiting.pop()
        found = fields_of(module)
        if found is None or id(module) in seen:
            continue
        seen.add(id(module))
        is_torch = "_modules" in found
        held = [found.get("_parameters"), found.get("_buffers")] if is_torch else [found]
        state.pairs += [(path + n, v) for table in held for n, v in _named(table) if isinstance(v, Tensor)]
        below = _named(found.get("_modules") if is_torch else found)
        inner = [(f"{path}{n}."[-_MOST_NAME:], v) for n, v in below if isinstance(v, Made)]
        waiting += reversed(inner)
    return state


def _named(value: Any) -> list[tuple[str, Any]]:
    pairs = value.pairs if isinstance(value, Table) else []
    return [(key, item) for key, item in pairs if isinstance(key, str)]


def read(root: Any) -> Architecture:
    """The network by the names and shapes of the gathered state dict."""
    return generic.describe(shapes_of(state_of(root)), None)


def parts(root: Any) -> Parts:
    """The gathered state dict; a pickled torch module's tensors lie under `_modules` in the file."""
    found = fields_of(root)
    path = "_modules" if found is not None and _named(found.get("_modules")) else ""
    return Parts(path, state_of(root), "optimizer")


PICKLED_MODULE = Recipe("torch-module", recognise, parts, read)
