"""Lists by a part of a name, which no ordinary index finds: every name is looked at, but only the names.

An index of id and name holds all that is looked at, in the order of a list: 100,000 names are read without a row.
"""

from typing import Any

from sqlalchemy import ColumnElement, Select, String, literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from app.registry.tables import Checkpoint, Job

FEW = 500
"""A name that fewer rows bear is rare: these rows are looked at, whatever else is asked for."""


class Folded(GenericFunction[str]):
    """The text with its letters A to Z small: SQLite's lower(), and a third of the time of PostgreSQL's own."""

    type = String()
    inherit_cache = True


@compiles(Folded, "sqlite")
def _sqlite_folded(element: Folded, compiler: SQLCompiler, **options: Any) -> str:
    return f"lower({compiler.process(element.clauses, **options)})"


@compiles(Folded, "postgresql")
def _postgresql_folded(element: Folded, compiler: SQLCompiler, **options: Any) -> str:
    return f'lower(({compiler.process(element.clauses, **options)}) COLLATE "C")'


def hold_name(
    session: Session, table: type[Job | Checkpoint], part: str, *among: ColumnElement[bool]
) -> ColumnElement[bool]:
    """The condition that a row's name holds `part`, A to Z in any case; `among` is what the index knows besides.

    A rare part is told by the ids that bear it. One that many bear is looked for row by row: a page of it is soon full.
    """
    holds = _holds(table.name, part)
    found = session.scalars(_newest(table, holds, *among)).all()
    return holds if len(found) == FEW else table.id.in_(found)


def _newest(table: type[Job | Checkpoint], *conditions: ColumnElement[bool]) -> Select[str]:
    return select(table.id).where(*conditions).order_by(table.id.desc()).limit(FEW)


def _holds(name: Any, part: str) -> ColumnElement[bool]:
    """As `icontains`, but on PostgreSQL too by lower(): ILIKE folds the pattern anew for each name."""
    escaped = part.replace("/", "//").replace("%", "/%").replace("_", "/_")
    return Folded(name).like(Folded(literal(f"%{escaped}%", String())), escape="/")
