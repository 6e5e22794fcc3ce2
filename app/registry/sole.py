"""One API process for each SQLite file: a second one would relay, reap and sweep beside it, with one write lock for all."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from app.errors import Conflict
from app.registry.database import Database

log = structlog.get_logger()


@contextmanager
def only_api(database: Database) -> Iterator[None]:
    """Hold a SQLite file for this API process; PostgreSQL takes any number. Raises Conflict.

    The lock is an flock beside the file: the kernel drops it with its holder, so that it is never stale.
    """
    if not database.is_sqlite or not database.url.database:
        yield
        return
    path = Path(f"{database.url.database}.api-lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            error = _taken(database, path)
            log.critical("this API process does not start", error=error.detail, hint=error.hint)
            raise error from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)  # the file stays: removing it would let two holders in


def _taken(database: Database, path: Path) -> Conflict:
    holder = "?"
    with suppress(OSError):
        holder = path.read_text() or "?"
    return Conflict(
        f"another API process (pid {holder}) serves {database.url.database}",
        hint="SQLite has one API process; several need PostgreSQL, named by CALIPER_DATABASE_URL",
    )
