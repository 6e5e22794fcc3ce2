"""The base of every table: names of constraints, times with their zone."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Dialect, MetaData, TypeDecorator
from sqlalchemy import DateTime as SqlDateTime
from sqlalchemy.orm import DeclarativeBase


class Utc(TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite stores none of the zone, so it is put back when read."""

    impl = SqlDateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give the stored time its zone."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def utc_now() -> datetime:
    """The present moment, with its zone."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """The base of every table."""

    # Constraints have names on every database, so that a migration can drop them.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )

    type_annotation_map = {  # noqa: RUF012 - read by SQLAlchemy, never changed
        dict[str, Any]: JSON,
        list[Any]: JSON,
        datetime: Utc,
    }
