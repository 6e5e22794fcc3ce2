"""The canonical form of a checkpoint's tree, so that its pickle depends on values alone.

Pickle writes an object that it has met before as a short reference, and "met before" means *the same
object*, not an equal one. Two trees with equal values can therefore differ in size. Predictor and writer
both pass their tree through `canonical_tree`, after which

- equal strings are one object (the strings `storage` and `cpu`, which torch itself writes, included);
- no container is shared: every list, tuple, dict and OrderedDict is fresh and has no attributes, so the
  `_metadata` of a module's state dict is left out;
- subclasses of str, int and float have become the plain type;
- each tensor leaf went through the caller's `leaf` function, which must return a tensor (or TensorSpec)
  that shares nothing with another one.
"""

import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from app.errors import InvalidInput, LimitExceeded

MAX_DEPTH = 100
"""Containers within containers; far above any checkpoint, well below Python's recursion limit."""

MAX_INT_BITS = 2039
"""Largest integer that `torch.load(weights_only=True)` reads back (pickle's LONG1: 255 bytes with sign)."""


def canonical_tree(tree: Any, leaf: Callable[[Any, str], Any]) -> Any:
    """Return an equal tree in canonical form; `leaf(value, path)` turns everything that is not plain.

    Raises InvalidInput for a value that a checkpoint cannot hold, with its path as the pointer, and
    LimitExceeded for a tree deeper than MAX_DEPTH.
    """
    return _Canoniser(leaf).convert(tree, "", 0)


CONTAINERS = (dict, list, tuple, Mapping)
"""The last of these takes longest to be ruled out: most that is none is found to be something else before."""


class _Canoniser:
    """One walk over a tree, with the strings met so far."""

    def __init__(self, leaf: Callable[[Any, str], Any]) -> None:
        self.leaf = leaf
        # These are the very objects that torch writes: CPython interns constants that look like names.
        self.strings = {text: sys.intern(text) for text in ("storage", "cpu")}

    def convert(self, value: Any, path: str, depth: int) -> Any:
        """Turn one value and all below it."""
        if isinstance(value, str):
            return self.strings.get(value) or self._string(value, path)
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int):
            return _integer(value, path)
        if isinstance(value, CONTAINERS):
            return self._container(value, path, depth)
        return float(value) if isinstance(value, float) else self.leaf(value, path)

    def _container(self, value: Any, path: str, depth: int) -> Any:
        if depth >= MAX_DEPTH:
            raise LimitExceeded("checkpoint depth", limit=MAX_DEPTH, actual=depth + 1, pointer=path)
        if isinstance(value, Mapping):
            pairs = [
                (self.convert(key, path, depth + 1), self.convert(item, f"{path}/{key}", depth + 1))
                for key, item in value.items()
            ]
            return OrderedDict(pairs) if isinstance(value, OrderedDict) else dict(pairs)
        items = [self.convert(item, f"{path}/{index}", depth + 1) for index, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items

    def _string(self, value: str, path: str) -> str:
        text = str.__str__(value)
        if len(text) == 1 and ord(text) < 256:
            return chr(ord(text))  # CPython keeps one object for each; torch's storage keys 0 to 9 are these
        known = self.strings.get(text)
        if known is None:
            _check_encodable(text, path)
            known = self.strings[text] = text
        return known


def _integer(value: int, path: str) -> int:
    number = int(value)
    if number.bit_length() > MAX_INT_BITS:
        raise LimitExceeded(
            "integer bits in a checkpoint", limit=MAX_INT_BITS, actual=number.bit_length(), pointer=path
        )
    return number


def _check_encodable(text: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"a string at {path or '/'} holds a lone surrogate", hint="text that UTF-8 can hold", pointer=path
        ) from error
