"""How a tree is known by the keys that it has."""

from collections.abc import Callable
from typing import Any

from app.checkpoint.values import Table


def has_keys(*keys: str) -> Callable[[Any], bool]:
    """Whether a tree is a dict with all of these keys."""
    return lambda root: isinstance(root, Table) and all(key in root for key in keys)
