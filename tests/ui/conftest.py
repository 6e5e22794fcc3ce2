"""Services for the tests of pages."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from running_service import Service, running
from sqlalchemy import delete

from app.registry.database import Database, migrate
from app.registry.tables.base import Base
from app.settings import Settings

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
"""What a browser says of a form on a page of the service itself."""


@pytest.fixture
def service(settings: Settings, registry: Database) -> Iterator[Service]:
    """A service without Redis, of the test's own: the broker is down."""
    with running(settings) as started:
        yield started


@pytest.fixture(scope="module")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The same for all tests of a module: each looks only at what is its own. Starting one takes a second."""
    folder: Path = tmp_path_factory.mktemp("pages")
    settings = Settings(data_dir=folder, sweep_seconds=3_600, relay_seconds=3_600)
    migrate(settings.database_url)
    with running(settings) as started:
        yield started


@pytest.fixture
def emptied_service(shared_service: Service) -> Iterator[Service]:
    """The module's service, whose registry is empty again after each test."""
    yield shared_service
    with shared_service.parts.database.write() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(delete(table))
