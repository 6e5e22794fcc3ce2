"""The Celery app of a worker: one per GPU, consuming its tier's queue.

Start it as `celery -A worker.main worker -P prefork -c 1`; without `-Q` it consumes the queue of the tier that
CALIPER_DEFAULT_TIER or its own device says. The consuming process never touches CUDA: the device is
described by a child process, training runs in another, and so does the comparison of weights.
"""

import json
import os
import socket
import sys
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from celery import Celery, signals
from celery.apps import worker as celery_worker

from app.actions.recognise_storage import require_same_storage
from app.errors import Conflict, InvalidInput, StoreUnavailable, Unavailable
from app.logs import configure_logs, is_json
from app.network.tiers import check_also_tiers
from app.queue import celery_settings
from app.registry.database import Database
from app.registry.workers import describe_worker
from app.settings import get_settings
from app.storage import open_storage
from worker.calibrate.at_start import calibrate_once
from worker.compare import Comparer
from worker.presence import Presence
from worker.probe import register_probe
from worker.supervise import announce_stop, probe_device
from worker.tasks import register_tasks

settings = get_settings()
app = Celery("caliper-worker")
app.conf.update(celery_settings(settings))
register_tasks(app)
register_probe(app)
comparer = Comparer(settings)
presence = Presence(settings.heartbeat_seconds)


def worker_id(hostname: str) -> str:
    """The worker's name in the registry: Celery's node name, which holds the machine's."""
    return hostname or socket.gethostname()


def _choose_queues(instance: Any, **_: Any) -> None:
    """Consume the tier's queue where the command line named none, then those of CALIPER_ALSO_TIERS."""
    check_storage()
    # No banner between lines that programs read.
    instance.quiet = is_json(settings, sys.stderr)
    queues = instance.app.amqp.queues
    if set(queues.consume_from) == {instance.app.conf.task_default_queue}:
        queues.select([settings.queue_name(settings.default_tier or probe_device()["tier"])])
    also = check_also_tiers(_tier_of(next(iter(queues.consume_from))), settings.also_tier_names)
    queues.select(list(dict.fromkeys((*queues.consume_from, *map(settings.queue_name, also)))))


def check_storage() -> None:
    """End here, in words, where this worker would not see the files that the API keeps."""
    database = Database(settings.database_url)
    try:
        require_same_storage(database, open_storage(settings))
    except (Conflict, InvalidInput, StoreUnavailable) as error:
        raise SystemExit(f"caliper worker: {error.detail}\n{error.hint}") from error
    except Unavailable:
        return  # the registry, which is waited for
    finally:
        database.close()


def _tier_of(queue: str) -> str:
    return queue.removeprefix(settings.queue_name(""))


def _announce(sender: Any, **_: Any) -> None:
    """Register the worker, whose consumer's own loop renews its row; Celery says that it is ready at each reconnect."""
    if presence.has_begun:
        return
    device = probe_device()
    queues = list(app.amqp.queues.consume_from)
    tier, name = _tier_of(queues[0]), worker_id(sender.hostname)
    describe = partial(describe_worker, name, queues, tier, device["device"], device["versions"])
    database = Database(settings.database_url)
    if settings.calibrate_on_start:
        with suppress(Unavailable):  # told by the estimate, which then has no measurement
            calibrate_once(database, device["device"]["measured_as"])
    comparer.start()
    presence.begin(sender, database, describe)


def _begin_stop(**_: Any) -> None:
    """Ask the running trainer to checkpoint, for whose supervisor the warm shutdown waits, and end comparing."""
    comparer.ask_to_stop()
    announce_stop()


def _leave(**_: Any) -> None:
    comparer.stop()
    presence.end()


def _configure_logs(**_: Any) -> None:
    """Write Celery's lines and ours alike, one a line, to stderr; Celery then leaves logging alone."""
    configure_logs(settings, "worker")
    if is_json(settings, sys.stderr):
        celery_worker.safe_say = _say_safely


def _say_safely(message: str, *_: Any) -> None:
    """What Celery says from within signal handlers, where no lock may be waited for: one JSON line as well."""
    moment = datetime.now(UTC).isoformat()
    entry = {"event": message.strip(), "process": "worker", "level": "warning", "timestamp": moment}
    os.write(sys.stderr.fileno(), f"{json.dumps(entry)}\n".encode())


signals.celeryd_init.connect(_configure_logs)  # before Celery warns of anything
signals.celeryd_after_setup.connect(_choose_queues)
signals.worker_ready.connect(_announce)
signals.worker_shutting_down.connect(_begin_stop)
signals.worker_shutdown.connect(_leave)
signals.setup_logging.connect(_configure_logs)
