"""Inert values as plain JSON values: bounded in size and depth, numbers finite, strings escaped."""

import math
from dataclasses import dataclass
from typing import Any

from app.checkpoint.findings import printable
from app.checkpoint.limits import ReadLimits
from app.checkpoint.values import Array, Bag, ByteRange, Made, Name, Storage, Symbol, Table, Tensor, fields_of

CUT = "…"
"""Stands for what a limit cut off."""

_PLAIN = (bool, int, float, str, bytes, ByteRange)


@dataclass(slots=True)
class Renderer:
    """Turns inert values into JSON values; one renderer has one budget."""

    limits: ReadLimits
    used: int = 0

    def render(self, value: Any, depth: int = 0) -> Any:
        """The JSON value; recursion ends at `max_shown_depth`, breadth at `max_shown_values`."""
        self.used += 1
        if self.used > self.limits.max_shown_values:
            return CUT
        if value is None or isinstance(value, _PLAIN):
            return self._plain(value)
        return self._container(value, depth) if depth < self.limits.max_shown_depth else CUT

    def _container(self, value: Any, depth: int) -> Any:
        if isinstance(value, (list, tuple)):
            return self._items(value, depth)
        if isinstance(value, Bag):
            return self._items(value.items, depth)
        if isinstance(value, Table):
            return self._pairs(value, depth)
        return self._made(value, depth) if isinstance(value, Made) else _leaf(value)

    def _plain(self, value: Any) -> Any:
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, str):
            return printable(value, self.limits.max_shown_text)
        if isinstance(value, (bytes, ByteRange)):
            return f"{len(value):,} bytes"
        is_wide = type(value) is int and abs(value) >= 1 << 63
        return hex(value) if is_wide else value  # JSON readers lose such numbers

    def _items(self, items: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        shown: list[Any] = []
        for item in items:
            if self.used >= self.limits.max_shown_values:
                return [*shown, CUT]
            shown.append(self.render(item, depth + 1))
        return shown

    def _pairs(self, table: Table, depth: int) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for key, value in table.pairs:
            if self.used >= self.limits.max_shown_values:
                return {**shown, CUT: CUT}
            shown[self._key(key)] = self.render(value, depth + 1)
        return shown

    def _key(self, key: Any) -> str:
        if isinstance(key, (str, int, float, bool)) or key is None:
            return str(self._plain(key))
        return str(_leaf(key)) if isinstance(key, (Name, Symbol)) else f"<{type(key).__name__.lower()}>"

    def _made(self, value: Made, depth: int) -> Any:
        kind = printable(str(value.function)) if isinstance(value.function, Name) else "?"
        found = fields_of(value)
        shown: dict[str, Any] = {"__class__" if value.is_new else "__call__": kind}
        if value.args:
            shown["__args__"] = self._items(value.args, depth + 1)
        if value.items:
            shown["__items__"] = self._items(value.items, depth + 1)
        return {**shown, **(self._pairs(found, depth) if found is not None else {})}


def _leaf(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} tensor {list(value.shape)}"
    if isinstance(value, Array):
        return f"{printable(value.dtype)} array {list(value.shape)}"
    if isinstance(value, Storage):
        return f"storage of {value.numel:,} {value.dtype}"
    if isinstance(value, Symbol):
        return printable(f"{value.kind} {value.text}".strip())
    return printable(str(value)) if isinstance(value, Name) else f"<{type(value).__name__.lower()}>"
