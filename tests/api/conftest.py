"""Services for the API's tests."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from running_service import Service, running

from app.registry.database import Database
from app.settings import Settings


@pytest.fixture
def service(settings: Settings, registry: Database) -> Iterator[Service]:
    """A service without Redis: the broker is down."""
    with running(settings) as started:
        yield started


@pytest.fixture
def make_service(registry: Database) -> Callable[[Settings], Any]:
    """Start a service with other settings."""
    return running
