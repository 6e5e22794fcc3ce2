"""`fields=`: lists that show of each item what was asked for, and no more."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, fields
from typing import Annotated, Any, Generic, TypeVar, cast

from fastapi import Query
from pydantic import TypeAdapter

from app.api.page import Page
from app.api.problems import suggest
from app.errors import InvalidInput

Item = TypeVar("Item")

Selected = dict[str, Any]
"""Some fields of an item, by name."""


@dataclass(frozen=True, slots=True)
class Selection(Generic[Item]):
    """Which fields of a list's items are shown."""

    view: TypeAdapter[Item]
    names: frozenset[str]
    """The fields; empty for all."""

    def of_page(self, page: Page[Item]) -> Page[Item | Selected]:
        """The page with these fields alone."""
        return Page(self.of(page.items), page.next_cursor)

    def of(self, items: Iterable[Item]) -> list[Item | Selected]:
        """The items with these fields alone."""
        if not self.names:
            return list(items)
        shown = (self.view.dump_python(item, mode="json", include=set(self.names)) for item in items)
        return [cast("Selected", each) for each in shown]


def selection_of(view: type[Item]) -> Callable[..., Awaitable[Selection[Item]]]:
    """A dependency that reads `fields=id,name` of a list of such items. It raises InvalidInput for an unknown name."""
    known = [item.name for item in fields(view)]  # type: ignore[arg-type]
    adapter = TypeAdapter(view)
    one = "|".join(known)
    parameter = Query(
        alias="fields",
        max_length=sum(len(name) + 1 for name in known),
        description=f"Show these fields of each item alone, with commas between them; of {', '.join(known)}.",
        examples=[",".join(known[:2])],
        # For those who read the document; what is refused is answered with words of its own.
        json_schema_extra={"pattern": f"^({one})(,({one}))*$"},
    )

    async def read_selection(wanted: Annotated[str | None, parameter] = None) -> Selection[Item]:
        names = [] if wanted is None else wanted.split(",")
        for name in names:
            if name not in known:
                shown = name[:80]
                raise InvalidInput(
                    f"there is no field {shown!r}", hint=suggest(shown, known), pointer="fields"
                )
        return Selection(adapter, frozenset(names))

    return read_selection
