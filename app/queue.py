"""Wakes the workers: the only Celery in app.

Correctness lies in the registry; a message says only "look at this job". The settings below hold for both
ends. What each one prevents is told in docs/decisions.
"""

import json
import math
import time
from collections.abc import Iterator
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from app.errors import Unavailable
from app.settings import Settings

TRAIN_TASK = "caliper.train"
"""Name of the one task."""

SCAN_LIMIT = 10_000
"""Messages of a queue that are looked at when lost ones are searched."""


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
        },
    }


def message_id(job_id: str, fence: int) -> str:
    """The broker's id of a job's wake-up."""
    return f"{job_id}:{fence}"


class Queue:
    """The sending end; every method raises Unavailable when Redis does not answer."""

    def __init__(self, settings: Settings) -> None:
        self._celery = Celery("caliper", set_as_current=False)
        self._celery.conf.update(celery_settings(settings))
        self._prefix = f"{settings.queue_prefix}:"
        self._redis = Redis.from_url(settings.redis_client_url, socket_timeout=5, socket_connect_timeout=5)

    def send(self, queue: str, job_id: str, fence: int) -> None:
        """Wake a worker of the queue for this job."""
        try:
            self._celery.send_task(
                TRAIN_TASK,
                args=[job_id],
                queue=queue,
                task_id=message_id(job_id, fence),
                retry=False,
                ignore_result=True,
            )
        except (OperationalError, RedisError) as error:
            raise Unavailable(
                f"the queue does not answer: {error}", hint="jobs wait in the registry until it does"
            ) from error

    def ping(self) -> None:
        """Return when Redis answers."""
        try:
            self._redis.ping()
        except RedisError as error:
            raise Unavailable(
                f"Redis does not answer: {error}", hint="start it, or check CALIPER_REDIS_URL"
            ) from error

    def length(self, queue: str) -> int:
        """Messages that wait in a queue."""
        try:
            return int(self._redis.llen(self._prefix + queue))
        except RedisError as error:
            raise Unavailable(f"Redis does not answer: {error}") from error

    def live_messages(self, queue: str, taken_seconds: float = math.inf) -> set[str]:
        """Ids of the messages that wait in a queue, or that a worker took within so many seconds.

        When one was taken is told by its worker's clock: one that is off makes messages doubled, never lost.
        """
        try:
            waiting = self._redis.lrange(self._prefix + queue, 0, SCAN_LIMIT)
            now = time.time()
            recent = now - taken_seconds, now + taken_seconds
            tags = self._redis.zrangebyscore(f"{self._prefix}unacked_index", *recent)
            taken = self._redis.hmget(f"{self._prefix}unacked", list(tags)) if tags else []  # type: ignore[arg-type]
        except RedisError as error:
            raise Unavailable(f"Redis does not answer: {error}") from error
        messages = [*waiting, *(raw for raw in taken if raw is not None)]
        return set(_ids(messages))  # type: ignore[arg-type]

    def close(self) -> None:
        """Give all connections back."""
        self._celery.close()
        self._redis.close()


def _ids(messages: list[bytes]) -> Iterator[str]:
    """Task ids of kombu's messages: a dict in the list, [dict, exchange, key] among the unacknowledged."""
    for raw in messages:
        message = json.loads(raw)
        body = message[0] if isinstance(message, list) else message
        yield str(body["headers"]["id"])
