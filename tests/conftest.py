"""What every room's tests may use: databases that are real, and rows to put in them."""

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from app.registry.database import Database, migrate, new_id


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A real PostgreSQL from the bundled wheel; one server a test process."""
    with tempfile.TemporaryDirectory(prefix="caliper-pg-") as folder:
        Path(folder).chmod(0o755)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, which a machine without a session lacks
            import pgserver

        server = pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        finally:
            server.cleanup()


@pytest.fixture
def fresh_postgresql(postgresql_url: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    name = new_id("t")
    admin = create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield postgresql_url.replace("/postgres?", f"/{name}?")
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def fresh_sqlite(tmp_path: Path) -> str:
    """The URL of an empty SQLite database."""
    return f"sqlite:///{tmp_path}/registry.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database of each kind in turn."""
    return str(request.getfixturevalue(f"fresh_{request.param}"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated registry on each kind of database in turn."""
    migrate(database_url)
    database = Database(database_url)
    yield database
    database.close()
