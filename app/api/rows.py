"""Rows of the registry as answers: a view takes the columns that it names."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

View = TypeVar("View")


def view_row(row: Any, view: Callable[..., View], **others: Any) -> View:
    """The view of a row; `others` are fields that the row lacks or has in another form."""
    named = {item.name for item in fields(view) if hasattr(row, item.name)}  # type: ignore[arg-type]
    values = {name: getattr(row, name) for name in named - others.keys()}
    return view(**values, **others)


def parse_dims(text: str | None) -> tuple[int, ...] | None:
    """The widths that a row keeps as `512,256,128`."""
    return tuple(int(width) for width in text.split(",")) if text else None
