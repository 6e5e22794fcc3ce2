"""The one task: look at this worker's queues, and train the job that is next."""

from typing import Any

import structlog
from celery import Celery, Task

from app.jobs.protocol import MESSAGE_HEADER, MESSAGE_VERSION
from app.queue import TRAIN_TASK
from app.registry.claims import Seat
from app.settings import get_settings
from worker.supervise import supervise_next

log = structlog.get_logger()


def register_tasks(app: Celery) -> None:
    """Give the Celery app its task."""

    @app.task(name=TRAIN_TASK, bind=True, shared=False)  # type: ignore[untyped-decorator]
    def train(task: Task, *_given: Any, **_named: Any) -> None:
        """Whatever a message of a known version says, it means: look at your queues."""
        if not understands(task.request.headers or {}):
            return
        queues = tuple(task.app.amqp.queues.consume_from)
        supervise_next(Seat(task.request.hostname or "worker", queues), get_settings())


def understands(headers: dict[str, Any]) -> bool:
    """Whether a message is of a version that this release knows; told in the log where it is not.

    Nothing is lost with one that is let go: its job waits in the registry, and the sweep wakes somebody again.
    """
    version = headers.get(MESSAGE_HEADER, 1)
    known = isinstance(version, int) and 1 <= version <= MESSAGE_VERSION
    if not known:
        log.warning(
            "a message of another release is left to newer workers", version=version, known=MESSAGE_VERSION
        )
    return known
