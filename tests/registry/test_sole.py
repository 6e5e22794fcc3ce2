"""One API process for a SQLite file; of several on PostgreSQL one at a time keeps house."""

import asyncio
from pathlib import Path

import pytest
from fastapi import FastAPI
from running_service import running

from app.errors import Conflict, Unavailable
from app.main import build_parts, run_background
from app.registry.database import Database, migrate
from app.registry.sole import only_api
from app.settings import Settings


def test_a_second_api_on_a_sqlite_file_is_refused_in_words(migrated_sqlite: str) -> None:
    first, second = Database(migrated_sqlite), Database(migrated_sqlite)
    with only_api(first):
        words = r"another API process \(pid \d+\) serves .*registry.db"
        with pytest.raises(Conflict, match=words) as caught, only_api(second):
            pass
        assert "PostgreSQL" in caught.value.hint
    with only_api(second):
        pass
    first.close()
    second.close()


def test_two_files_have_an_api_each(migrated_sqlite: str, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path}/other.db"
    migrate(other)
    first, second = Database(migrated_sqlite), Database(other)
    with only_api(first), only_api(second):
        pass
    first.close()
    second.close()


def test_postgresql_has_any_number(migrated_postgresql: str) -> None:
    first, second = Database(migrated_postgresql), Database(migrated_postgresql)
    with only_api(first), only_api(second):
        pass
    first.close()
    second.close()


def test_a_second_service_on_the_same_file_does_not_start(settings: Settings, registry: Database) -> None:
    app = FastAPI()
    app.state.parts = build_parts(settings)

    async def start() -> None:
        async with run_background(app):
            pass

    with running(settings), pytest.raises(Conflict, match="another API process"):
        asyncio.run(start())
    app.state.parts.queue.close()
    app.state.parts.database.close()


def test_housekeeping_is_done_by_one_process_at_a_time(migrated_postgresql: str) -> None:
    first, second = Database(migrated_postgresql), Database(migrated_postgresql)
    with first.alone("tidy") as mine:
        assert mine
        with second.alone("tidy") as theirs, second.alone("uploads") as other:
            assert (theirs, other) == (False, True)
    with second.alone("tidy") as theirs:
        assert theirs
    first.close()
    second.close()


def test_the_turn_of_a_process_that_dies_is_free_again(migrated_postgresql: str) -> None:
    dead, alive = Database(migrated_postgresql), Database(migrated_postgresql)
    turn = dead.alone("tidy")
    assert turn.__enter__()
    alive.run_alone(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
    )
    with alive.alone("tidy") as mine:
        assert mine
    with pytest.raises(Unavailable):
        turn.__exit__(None, None, None)  # had it lived, it would have been told
    dead.close()
    alive.close()


def test_on_sqlite_every_turn_is_ones_own(migrated_sqlite: str) -> None:
    database = Database(migrated_sqlite)
    with database.alone("tidy") as mine:
        assert mine
    database.close()
