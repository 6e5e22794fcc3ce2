"""Wakes the workers: the only Celery in app.

Correctness lies in the registry; a message says only "look at your queue", and its version in a header. The settings
below hold for both ends. What each one prevents is told in docs/decisions.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from app.errors import Unavailable
from app.jobs.protocol import MESSAGE_HEADER, MESSAGE_VERSION
from app.settings import Settings

TRAIN_TASK = "caliper.train"
"""Name of the one task."""

PROBE_TASK = "caliper.probe"
"""Name of a message that a worker takes only to prove that it takes messages."""


def celery_settings(settings: Settings) -> dict[str, Any]:
    """Celery's settings, equal for sender and worker."""
    week = 7 * 24 * 3600
    return {
        "broker_url": settings.redis_url,
        "task_serializer": "json",
        "accept_content": ["json"],
        "result_backend": None,
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_create_missing_queues": True,
        "worker_prefetch_multiplier": 1,
        "worker_concurrency": 1,
        "worker_max_tasks_per_child": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "broker_connection_retry_on_startup": True,
        "broker_connection_timeout": 5,
        "broker_transport_options": {
            # Far above any pause between claim and acknowledgement: Redis must never double a long task.
            "visibility_timeout": week,
            "unacked_restore_throttle": 1,
            "health_check_interval": 30,
            "global_keyprefix": f"{settings.queue_prefix}:",
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "max_retries": 1,
            "interval_start": 0,  # the relay waits by itself before it tries again; kombu would sleep for 2 s
        },
    }


def message_id(job_id: str, fence: int) -> str:
    """The broker's id of a job's wake-up."""
    return f"{job_id}:{fence}"


class Queue:
    """The sending end; every method raises Unavailable when Redis does not answer.

    `trouble` is what the last one met with; empty where Redis answered.
    """

    def __init__(self, settings: Settings) -> None:
        self._celery = Celery("caliper", set_as_current=False)
        self._celery.conf.update(celery_settings(settings))
        self._prefix = f"{settings.queue_prefix}:"
        self.trouble = ""
        self._redis = Redis.from_url(settings.redis_client_url, socket_timeout=5, socket_connect_timeout=5)

    def send(self, queue: str, job_id: str, fence: int) -> None:
        """Wake a worker of the queue; a worker of the release before takes the job that is named."""
        with self._heard("the queue does not answer", "jobs wait in the registry until it does"):
            self._celery.send_task(
                TRAIN_TASK,
                args=[job_id],
                queue=queue,
                task_id=message_id(job_id, fence),
                headers={MESSAGE_HEADER: MESSAGE_VERSION},
                retry=False,
                ignore_result=True,
            )

    def probe(self, queue: str) -> None:
        """Ask for a proof that a worker consumes the queue."""
        with self._heard("the queue does not answer"):
            self._celery.send_task(PROBE_TASK, queue=queue, retry=False, ignore_result=True)

    def ping(self) -> None:
        """Return when Redis answers."""
        with self._heard("Redis does not answer", "start it, or check CALIPER_REDIS_URL"):
            self._redis.ping()

    def length(self, queue: str) -> int:
        """Messages that wait in a queue."""
        with self._heard("Redis does not answer"):
            return int(self._redis.llen(self._prefix + queue))

    def close(self) -> None:
        """Give all connections back."""
        self._celery.close()
        self._redis.close()

    @contextmanager
    def _heard(self, what: str, hint: str = "") -> Iterator[None]:
        """Turn the broker's errors into ours, and remember how it went."""
        try:
            yield
        except (OperationalError, RedisError) as error:
            self.trouble = f"{what}: {error}"
            raise Unavailable(self.trouble, hint=hint) from error
        self.trouble = ""
