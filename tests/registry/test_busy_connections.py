"""More who ask at once than there are connections: they are told to come back, not that the service is broken."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import QueuePool

from app.errors import Unavailable
from app.registry import database as module
from app.registry.database import Database


def test_who_gets_no_connection_in_time_may_come_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0, "pool_timeout": 0.01}
    monkeypatch.setattr(module, "_create_engine", lambda url: create_engine(url, **one))
    database = Database(f"sqlite:///{tmp_path}/busy.db")
    with database.read() as first:
        first.execute(text("SELECT 1"))
        with pytest.raises(Unavailable, match="busy"), database.read() as second:
            second.execute(text("SELECT 1"))
    with database.read() as third:
        assert third.execute(text("SELECT 1")).scalar_one() == 1
    database.close()
