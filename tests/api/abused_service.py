"""One service for all abuses of a module, and what must not have changed after each."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from running_service import Service, eventually, running
from sqlalchemy import func, make_url, select

from app.registry.tables import Base
from app.settings import Settings
from app.storage import INCOMING

NOTED = frozenset({"audit"})
"""Tables that may grow by a refused request: it is noted who tried."""


@contextmanager
def abused_service(folder: Path, template: Path, **more: Any) -> Iterator[Service]:
    """A service on a registry of its own, with bars named `x`."""
    settings = Settings(data_dir=folder / "data", relay_seconds=60, sweep_seconds=60, **more)
    path = Path(str(make_url(settings.database_url).database))
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(template, path)
    with running(settings) as service:
        yield service


def state_of(service: Service) -> dict[str, Any]:
    """How many rows each table has, and which files are kept."""
    with service.parts.database.read() as session:
        rows = {
            name: session.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in Base.metadata.tables.items()
            if name not in NOTED
        }
    return {**rows, "files": sorted(_files(service.settings.artifacts_dir / "objects"))}


def arriving(service: Service) -> list[str]:
    """Files that are being written; uploads in parts, which wait for their next one, are not."""
    folders = (service.settings.artifacts_dir / INCOMING, service.settings.spool_dir)
    return [path for folder in folders for path in _files(folder) if "/upload_" not in path]


def _files(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file()]


@contextmanager
def unharmed(
    service: Service, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> Iterator[None]:
    """Assert that what happens within leaves no row, no file and no error behind, and that the service answers."""
    caplog.clear()
    capsys.readouterr()
    before = state_of(service)
    yield
    eventually(lambda: not arriving(service))
    assert state_of(service) == before
    assert service.get("/healthz").json()["status"] == "ok"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    written = capsys.readouterr()
    assert "Traceback" not in written.out + written.err
    assert '"error"' not in written.err
