"""A whole pickled module: its state dict is gathered by walking `_modules`, `_parameters` and `_buffers`.

A TorchScript module has its tensors and submodules as plain attributes. The classes of its modules tell the
activation, and the root's own class who wrote it: ElegantRL, and PufferLib before 3.0, pickle whole modules.
"""

from typing import Any

from app.checkpoint.architecture import Architecture
from app.checkpoint.layers import shapes_of
from app.checkpoint.recipes import caliper, cleanrl, elegantrl, generic, pufferlib
from app.checkpoint.recipes.modules import activation_of, class_name, state_of
from app.checkpoint.recipes.recipe import Parts, Recipe
from app.checkpoint.values import Made, Table, fields_of


def recognise(root: Any) -> bool:
    """Whether the root is an object with tensors or submodules among its attributes."""
    return isinstance(root, Made) and root.is_new and bool(state_of(root).pairs)


def read(root: Any) -> Architecture:
    """The network by the names and shapes of the gathered state dict, and by its classes."""
    state = state_of(root)
    seen = activation_of(root)
    known = next((recipe for recipe in _BARE if recipe.recognise(state)), None)
    if known is not None:
        return elegantrl.with_activation(known.read(state), seen)
    return generic.describe(shapes_of(state), None, seen)


def parts(root: Any) -> Parts:
    """The gathered state dict; a pickled torch module's tensors lie under `_modules` in the file."""
    found = fields_of(root)
    modules = found.get("_modules") if found is not None else None
    path = "_modules" if isinstance(modules, Table) and modules.pairs else ""
    return Parts(path, state_of(root), "optimizer")


_BARE = (caliper.WEIGHTS, cleanrl.CLEANRL, pufferlib.PUFFERLIB)
"""Recipes that know a network by the names of its tensors."""


def _is_of(library: str) -> Any:
    return lambda root: recognise(root) and class_name(root).startswith(f"{library}.")


PICKLED_MODULE = Recipe("torch-module", recognise, parts, read)
PUFFERLIB_MODULE = Recipe(
    "pufferlib", _is_of("pufferlib"), parts, lambda root: pufferlib.with_attributes(read(root), root)
)
