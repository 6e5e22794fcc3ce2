"""Alembic's entry: migrations run online, on the URL that the caller gives."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import create_engine

from app.registry.tables import Base, Utc
from app.settings import get_settings


def render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write our time type as the plain column type that it is on disk: a migration imports nothing of app."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, Utc) else False


def run() -> None:
    url = context.config.attributes.get("url") or get_settings().database_url
    engine = create_engine(url)
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_as_batch=connection.dialect.name == "sqlite",
            render_item=render_item,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
