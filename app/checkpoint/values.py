"""Inert values: what a pickle describes, held as data.

None, bool, int, float, str, bytes, list and tuple stand for themselves. Everything else is one of the classes
below. None of them compares or hashes by content and none has a recursive method, so neither unhashable or
colliding keys nor deep nesting can hurt.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, eq=False)
class Name:
    """A module and a name in it, as the file writes it; it is never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        """The dotted name."""
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Table:
    """A dict as its pairs in order of writing; only string keys can be looked up, the last one wins."""

    pairs: list[tuple[Any, Any]] = field(default_factory=list)
    attributes: Any = None
    _index: dict[str, Any] = field(default_factory=dict)
    _indexed: int = 0

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a string key."""
        return self.index().get(key, default)

    def index(self) -> dict[str, Any]:
        """The values of all string keys."""
        for key, value in self.pairs[self._indexed :]:
            if type(key) is str:
                self._index[key] = value
        self._indexed = len(self.pairs)
        return self._index

    def __contains__(self, key: object) -> bool:
        return key in self.index() if type(key) is str else False

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Table":
        """A table of a plain dict's pairs."""
        return cls(list(values.items()))


@dataclass(slots=True, eq=False)
class Bag:
    """A set or frozenset as its items in order of writing."""

    items: list[Any]


@dataclass(slots=True, eq=False)
class Made:
    """An object that loading would make: by calling `function`, or of a class without calling it (`is_new`).

    `state` is what BUILD would hand to it, `items` and `pairs` what would be appended or set.
    """

    function: Any
    args: tuple[Any, ...] = ()
    kwargs: Any = None
    is_new: bool = False
    state: Any = None
    items: list[Any] = field(default_factory=list)
    pairs: list[tuple[Any, Any]] = field(default_factory=list)

    def fields(self) -> Table | None:
        """The object's attributes, where its state is a dict or a (dict, slots) pair."""
        state = self.state
        if isinstance(state, Table):
            return state
        if isinstance(state, tuple) and len(state) == 2:
            parts = [part for part in state if isinstance(part, Table)]
            return Table([pair for part in parts for pair in part.pairs]) if parts else None
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Symbol:
    """A small value without structure, as text: a device, a path, a date, a random generator."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """A torch storage: `key` names the record that holds its bytes, `numel` is what the pickle declares."""

    key: str
    dtype: str
    numel: int
    location: str
    held: int | None = None
    """Bytes behind it, where the pickle itself holds them."""


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A view on a storage: offset and stride in elements."""

    storage: Storage
    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int


@dataclass(frozen=True, slots=True, eq=False)
class ByteRange:
    """Bytes of a pickle that were passed over unread: where they begin in it, and how many they are."""

    start: int
    length: int

    def __len__(self) -> int:
        """How many they are, as of bytes."""
        return self.length


@dataclass(slots=True, eq=False)
class Array:
    """A numpy array or scalar; `data` are its bytes where the pickle holds them, large ones their place."""

    shape: tuple[int, ...] = ()
    dtype: str = ""
    data: bytes | ByteRange | None = None
    objects: Any = None


def fields_of(value: Any) -> Table | None:
    """A dict's pairs or an object's attributes: how a config is read, whatever it was."""
    if isinstance(value, Table):
        return value
    return value.fields() if isinstance(value, Made) else None
