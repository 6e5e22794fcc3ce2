"""Answers the API's probes: messages that a worker takes from its queue like any other, to prove that it does.

A probe is answered by the consuming process itself, without a child of the pool: it is acknowledged, and when it was
taken is noted in the registry. A message that carries a job is noted alike.
"""

from collections.abc import Callable
from typing import Any

import structlog
from celery import Celery, signals
from celery.utils.log import get_logger

from app.errors import Unavailable
from app.queue import PROBE_TASK
from app.registry.consumption import note_taken
from app.registry.database import Database
from app.settings import get_settings

log = structlog.get_logger()
logger = get_logger(__name__)

_databases: dict[str, Database] = {}
"""The consuming process's registry, by URL; made when it is first needed."""


def register_probe(app: Celery) -> None:
    """Let the Celery app take probes, and note each message that it takes."""
    app.task(name=PROBE_TASK, Strategy=f"{__name__}:answer_probe")(_never_runs)
    signals.task_received.connect(_note_job)


def answer_probe(_task: Any, _app: Any, consumer: Any, **_: Any) -> Callable[..., None]:
    """What Celery's consumer does with a probe, in place of handing it to the pool."""

    def answer(
        message: Any, _body: Any, ack: Callable[..., Any], _reject: Any, _callbacks: Any, **_: Any
    ) -> None:
        ack(logger, consumer.connection_errors)
        note(message.delivery_info["routing_key"], consumer.hostname)

    return answer


def note(queue: str, worker: str) -> None:
    """Note that this worker took a message; a registry that does not answer costs this proof, nothing else."""
    url = get_settings().database_url
    database = _databases.get(url) or _databases.setdefault(url, Database(url))
    try:
        with database.write() as session:
            note_taken(session, queue, worker)
    except Unavailable as error:
        log.warning("a taken message was not noted", queue=queue, error=error.detail)


def _note_job(sender: Any, request: Any, **_: Any) -> None:
    note(request.delivery_info["routing_key"], sender.hostname)


def _never_runs() -> None:
    """The body of a task that its strategy answers before it comes to the pool."""
