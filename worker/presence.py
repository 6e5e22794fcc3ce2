"""This worker in the registry: there from its start, renewed by its consumer's own loop, and led out when it is to leave."""

import os
import signal
from collections.abc import Callable
from typing import Any

import structlog
from celery.worker import state

from app.errors import Unavailable
from app.registry.database import Database
from app.registry.tables import Worker
from app.registry.workers import (
    Drain,
    asked_to_leave,
    note_departure,
    register_worker,
    renew_worker,
)
from worker.supervise import announce_stop

log = structlog.get_logger()


class Presence:
    """Proof that this worker consumes, and its way out: it takes no other job, ends its own, and stops."""

    def __init__(self, heartbeat_seconds: float) -> None:
        self._heartbeat_seconds = heartbeat_seconds
        self._consumer: Any = None
        self._database: Database | None = None
        self._describe: Callable[[], Worker] | None = None
        self._leaving: Drain | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the worker has been announced."""
        return self._consumer is not None

    def begin(self, consumer: Any, database: Database, describe: Callable[[], Worker]) -> None:
        """Register the worker and renew its row from the consumer's loop; a registry that is away learns of it later."""
        self._consumer, self._database, self._describe = consumer, database, describe
        consumer.timer.call_repeatedly(self._heartbeat_seconds, self.beat)
        with database.write() as session:
            register_worker(session, describe())

    def beat(self) -> None:
        """Renew the row, and obey the wish to leave that stands in it."""
        if self._database is None or self._describe is None:
            return
        worker = self._describe()
        with self._database.write() as session:
            if not renew_worker(session, worker.id):
                register_worker(session, worker)
            drain = asked_to_leave(session, worker.id)
        if drain is not None:
            self._make_way(drain)

    def end(self) -> None:
        """Note that the worker has left; a registry that does not answer finds out by its silence."""
        if self._database is None or self._describe is None:
            return
        try:
            with self._database.write() as session:
                note_departure(session, self._describe().id)
        except Unavailable as error:
            log.warning("the registry does not answer", error=error.detail)
        self._database.close()

    def _make_way(self, drain: Drain) -> None:
        """Consume no more; hand the job back where that is wished; stop once there is none."""
        if self._leaving is None:
            log.info("leaving: no other job is taken", drain=str(drain))
            for queue in list(self._consumer.app.amqp.queues.consume_from):
                self._consumer.cancel_task_queue(queue)
        if drain is Drain.NOW and self._leaving is not Drain.NOW:
            announce_stop()
        self._leaving = drain
        if not state.reserved_requests:
            # As a person would stop it: the warm shutdown notes the departure.
            os.kill(os.getpid(), signal.SIGTERM)
