"""Answers comparisons of weights in a thread of the worker's main process, beside the job that trains.

The main process only supervises, so a comparison does not wait behind a training of hours; the values are
read by a child process with limits, so that neither numpy nor torch is loaded here.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from app.actions.compare_weights import answer_weights_diff
from app.errors import Unavailable
from app.registry.database import Database, Session
from app.settings import Settings
from app.storage import Storage, open_storage

POLL_SECONDS = 1.0
"""Time between two looks for a comparison that waits."""

NAP_SECONDS = 0.1
"""Time between two looks at the wish to stop."""

STOP_SECONDS = 3.0
"""How long the thread's end is awaited: it needs a moment to kill its child and to give the row back."""

log = structlog.get_logger()

# Celery forks this process when a pool child is replaced: never while the thread is within a database driver or
# writes a log line, whose locks the child would inherit held for ever.
_forking = threading.Lock()
os.register_at_fork(
    before=_forking.acquire, after_in_parent=_forking.release, after_in_child=_forking.release
)


class Comparer:
    """A thread that looks for comparisons of weights and answers one at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread: threading.Thread | None = None
        self._stopping = False  # a plain flag: a signal handler may set it
        self._silent = False

    def start(self) -> None:
        """Begin, unless it runs already: Celery says that it is ready again whenever it has reconnected."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="caliper-compare", daemon=True)
            self._thread.start()

    def ask_to_stop(self) -> None:
        """Let the thread kill its child, give its comparison back and end; returns at once."""
        self._stopping = True

    def stop(self) -> None:
        """Ask to stop and wait for the end, though never long."""
        self.ask_to_stop()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        database = _ForkSafeDatabase(self._settings.database_url)
        storage = open_storage(self._settings)
        try:
            while not self._stopping:
                if not self._take_turn(database, storage):
                    self._rest()
        finally:
            database.close()

    def _take_turn(self, database: Database, storage: Storage) -> bool:
        """Whether there was something to do; whatever goes wrong is told and does not end the thread."""
        try:
            found = answer_weights_diff(database, storage, lambda: self._stopping)
        except Unavailable as error:
            if not self._silent:
                with _forking:
                    log.warning("comparisons of weights wait for the registry", error=error.detail)
            self._silent = True
            return False
        except Exception:
            with _forking:
                log.exception("a comparison of weights failed")
            return False
        self._silent = False
        return found

    def _rest(self) -> None:
        until = time.monotonic() + POLL_SECONDS
        while not self._stopping and time.monotonic() < until:
            time.sleep(NAP_SECONDS)


class _ForkSafeDatabase(Database):
    """A registry within whose driver this process is never forked."""

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only looks."""
        with _forking, super().read() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are committed together."""
        with _forking, super().write() as session:
            yield session
