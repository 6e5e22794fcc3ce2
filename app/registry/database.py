"""The connection to the registry's database: SQLite on one machine, PostgreSQL in production.

Reads and writes are told apart because SQLite takes its one write lock at BEGIN IMMEDIATE: a read
transaction that turns into a write could otherwise fail with "database is locked" at once.
"""

import json
import math
import secrets
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import ColumnElement, Connection, Engine, Float, create_engine, event, func, make_url, select
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session as Session  # noqa: PLC0414 - rooms that speak no SQL name it from here
from sqlalchemy.orm import sessionmaker
from sqlalchemy.sql.compiler import SQLCompiler

from app.errors import Unavailable

Answer = TypeVar("Answer")

MIGRATIONS = Path(__file__).parents[2] / "migrations"

RETRY_SECONDS = 1.0
"""Pause before a database that does not answer is asked again."""


class DatabaseNow(ColumnElement[float]):
    """The database's own clock, in epoch seconds."""

    type = Float()
    inherit_cache = True


@compiles(DatabaseNow, "sqlite")
def _sqlite_now(_element: DatabaseNow, _compiler: SQLCompiler, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(DatabaseNow, "postgresql")
def _postgresql_now(_element: DatabaseNow, _compiler: SQLCompiler, **_: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


class Database:
    """One engine; `read()` and `write()` give sessions that end with the block.

    A write commits when its block ends and rolls back when it raises. Raises Unavailable when the
    database does not answer.
    """

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.engine = _create_engine(url)
        self._read = sessionmaker(self.engine, expire_on_commit=False, autoflush=False)
        writing = self.engine.execution_options(caliper_write=True)
        self._write = sessionmaker(writing, expire_on_commit=False)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only looks."""
        with _translated(), self._read() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are committed together."""
        with _translated(), self._write.begin() as session:
            yield session

    def read_patiently(self, work: Callable[[Session], Answer], seconds: float) -> Answer:
        """What `work` reads; asked again while the database does not answer, for so long."""
        return _patiently(self.read, work, seconds)

    def write_patiently(self, work: Callable[[Session], Answer], seconds: float) -> Answer:
        """Run `work` in a transaction, again while the database does not answer, for so long.

        A commit whose answer was lost may have happened: `work` must bear being done twice.
        """
        return _patiently(self.write, work, seconds)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a SQLite file."""
        return self.url.get_backend_name() == "sqlite"

    def run_alone(self, *statements: str) -> None:
        """Run statements one after the other on one connection, outside of any transaction."""
        with _translated(), closing(self.engine.raw_connection()) as connection:
            driver: Any = connection.driver_connection
            if not self.is_sqlite:  # SQLite's connections are in this mode anyway
                driver.autocommit = True
            try:
                for statement in statements:
                    driver.execute(statement)
            finally:
                if not self.is_sqlite:
                    driver.autocommit = False

    @contextmanager
    def alone(self, name: str) -> Iterator[bool]:
        """Whether this process is the only one that does this now; until the block ends no other one is.

        For housekeeping: an advisory lock of PostgreSQL, which goes with its connection. SQLite has one API process.
        """
        if self.is_sqlite:
            yield True
            return
        at_once = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        with _translated(), at_once.connect() as connection:
            key = zlib.crc32(f"caliper {name}".encode())
            held = bool(connection.scalar(select(func.pg_try_advisory_lock(key))))
            try:
                yield held
            finally:
                if held:
                    connection.scalar(select(func.pg_advisory_unlock(key)))

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def migrate(url: str, revision: str = "head") -> None:
    """Bring the database's tables to a revision; a fresh database gets them all."""
    _make_folder(url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    if revision == "base":
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)


def new_id(prefix: str) -> str:
    """An identifier that sorts by creation time: prefix, milliseconds, 40 random bits."""
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(5)}"


def _patiently(
    begin: Callable[[], AbstractContextManager[Session]], work: Callable[[Session], Answer], seconds: float
) -> Answer:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with begin() as session:
                return work(session)
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)


def _create_engine(url: str) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, json_serializer=_write_json)
    _make_folder(url)
    engine = create_engine(url, connect_args={"timeout": 30.0}, json_serializer=_write_json)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_folder(url: str) -> None:
    """The folder of a SQLite file, which SQLite does not make by itself."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)


def _write_json(value: Any) -> str:
    """JSON as PostgreSQL takes it: NaN and infinities, which JSON cannot say, become null."""
    return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the begin event below decides how transactions start
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=NORMAL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("caliper_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise Unavailable(
            f"the registry's database does not answer: {error.orig}", hint="try again shortly"
        ) from error
    except NoConnectionFree as error:
        raise Unavailable(
            "all connections to the registry's database are busy", hint="try again shortly"
        ) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable(
                "the connection to the registry's database broke", hint="try again shortly"
            ) from error
        raise
