"""The Celery app of a worker: one per GPU, consuming its tier's queue.

Start it as `celery -A worker.main worker -P prefork -c 1`; without `-Q` it consumes the queue of the tier that
CALIPER_DEFAULT_TIER or its own device says. The consuming process never touches CUDA: the device is
described by a child process, training runs in another, and so does the comparison of weights.
"""

import logging
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from celery import Celery, signals

from app.errors import Unavailable
from app.queue import celery_settings
from app.registry.database import Database
from app.registry.tables import Worker
from app.registry.workers import describe_worker, register_worker, remove_worker, renew_worker
from app.settings import get_settings
from worker.calibrate.at_start import calibrate_once
from worker.compare import Comparer
from worker.supervise import announce_stop, probe_device
from worker.tasks import register_tasks

settings = get_settings()
app = Celery("caliper-worker")
app.conf.update(celery_settings(settings))
register_tasks(app)
comparer = Comparer(settings)


def worker_id(hostname: str) -> str:
    """The worker's name in the registry: Celery's node name, which holds the machine's."""
    return hostname or socket.gethostname()


def _choose_queue(instance: Any, **_: Any) -> None:
    """Consume the tier's queue where the command line named none."""
    queues = instance.app.amqp.queues
    if set(queues.consume_from) == {instance.app.conf.task_default_queue}:
        tier = settings.default_tier or probe_device()["tier"]
        queues.select([settings.queue_name(tier)])


def _announce(sender: Any, **_: Any) -> None:
    """Register the worker and renew its row from the consumer's own loop: proof that it consumes."""
    database = Database(settings.database_url)
    device = probe_device()
    name = worker_id(sender.hostname)
    queue = next(iter(app.amqp.queues.consume_from))
    tier = queue.removeprefix(settings.queue_name(""))
    describe = partial(describe_worker, name, queue, tier, device["device"], device["versions"])
    sender.timer.call_repeatedly(settings.heartbeat_seconds, renew_row, (database, describe))
    if settings.calibrate_on_start:
        with suppress(Unavailable):  # told by the estimate, which then has no measurement
            calibrate_once(database, device["device"]["measured_as"])
    comparer.start()
    with database.write() as session:
        register_worker(session, describe())


def renew_row(database: Database, describe: Callable[[], Worker]) -> None:
    """Prove that this worker consumes; a registry that did not answer at its start learns of it here."""
    worker = describe()
    with database.write() as session:
        if not renew_worker(session, worker.id):
            register_worker(session, worker)


def _begin_stop(**_: Any) -> None:
    """Ask the running trainer to checkpoint, for whose supervisor the warm shutdown waits, and end comparing."""
    comparer.ask_to_stop()
    announce_stop()


def _leave(sender: Any, **_: Any) -> None:
    comparer.stop()
    database = Database(settings.database_url)
    with database.write() as session:
        remove_worker(session, worker_id(sender.hostname))
    database.close()


def _configure_logs(loglevel: int, **_: Any) -> None:
    """Write Celery's lines and ours alike, one a line, to stderr; Celery then leaves logging alone."""
    logging.basicConfig(
        level=loglevel, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))


signals.celeryd_after_setup.connect(_choose_queue)
signals.worker_ready.connect(_announce)
signals.worker_shutting_down.connect(_begin_stop)
signals.worker_shutdown.connect(_leave)
signals.setup_logging.connect(_configure_logs)
