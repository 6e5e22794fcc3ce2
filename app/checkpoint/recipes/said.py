"""What a configuration says of the network: each field only where it has the right kind."""

from typing import Any

from app.checkpoint.architecture import Value
from app.checkpoint.values import Name, fields_of

_WIDTHS = ("hidden_dims", "hidden_sizes", "actor_hidden_dims", "net_arch", "fcnet_hiddens")
_MOST = 64


class Said:
    """A configuration's fields, whatever object held them."""

    def __init__(self, config: Any) -> None:
        table = fields_of(config)
        self._fields = table.index() if table is not None else {}

    def whole(self, *names: str) -> int | None:
        """A whole number of at most 63 bits."""
        return next((v for n in names if type(v := self._fields.get(n)) is int and abs(v) < 1 << 63), None)

    def flag(self, *names: str) -> bool | None:
        """True or false."""
        return next((v for n in names if isinstance(v := self._fields.get(n), bool)), None)

    def text(self, *names: str) -> str | None:
        """A text, or the name of a class such as an activation's."""
        found = next((v for n in names if isinstance(v := self._fields.get(n), (str, Name))), None)
        return found.name.lower()[:_MOST] if isinstance(found, Name) else found[:_MOST] if found else None

    def widths(self, *names: str) -> Value:
        """A list of whole numbers."""
        for name in names or _WIDTHS:
            value = self._fields.get(name)
            if isinstance(value, (list, tuple)) and all(type(item) is int for item in value[:_MOST]):
                return tuple(value[:_MOST])
        return None
