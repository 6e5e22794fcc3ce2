"""The migrations build exactly the tables that the code describes, and take them away again."""

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from app.registry.database import MIGRATIONS, migrate
from app.registry.tables import Base


def test_migrating_up_gives_every_table_of_the_code(database_url: str) -> None:
    migrate(database_url)
    engine = create_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        assert set(Base.metadata.tables) <= set(inspect(connection).get_table_names())
    engine.dispose()


def test_alembic_check_finds_nothing_left_to_write(database_url: str) -> None:
    migrate(database_url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = database_url
    command.check(config)  # raises where the code's tables and the migrations differ


def test_migrating_down_leaves_nothing(database_url: str) -> None:
    migrate(database_url)
    migrate(database_url, "base")
    engine = create_engine(database_url)
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    engine.dispose()


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    migrate(database_url)
    migrate(database_url)
    migrate(database_url, "base")
    migrate(database_url)
