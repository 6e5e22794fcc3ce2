"""A page of a list, and the cursor of the next."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from app.network.shape import DOCUMENTED

Item = TypeVar("Item")


class Identified(Protocol):
    """A row with an id that sorts by creation time."""

    @property
    def id(self) -> Any:
        """The id."""


Row = TypeVar("Row", bound=Identified)


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Items of a list, the newest first."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    items: list[Item]
    """The items."""
    next_cursor: str | None
    """Give it as `cursor` to get the next page; null on the last one."""


def make_page(rows: Sequence[Row], limit: int, view: Callable[[Row], Item]) -> Page[Item]:
    """The page of `limit` + 1 rows at most; the one row too many tells that there is a next page."""
    shown = rows[:limit]
    cursor = str(shown[-1].id) if len(rows) > limit else None
    return Page([view(row) for row in shown], cursor)
