"""The relay killed at its two instants: a job is committed and not published; a wake-up is published and not dropped.

No code stops for this. Redis is frozen, so that the relay hangs in sending; the table of wake-ups is locked, so that it
hangs in dropping. Both APIs are killed there: no other relay may do the work.
"""

import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import func, select, text

from app.jobs.lifecycle import State
from app.registry.jobs import get_job
from app.registry.tables import Message
from benchmarks.chaos_harm import Harm, poll
from benchmarks.chaos_stack import Stack

HANGS_SECONDS = 1.0
"""Time that a relay has to begin sending."""
SENDS_SECONDS = 10.0
"""Time that it has to finish once Redis answers again."""


def kill_before_publish(stack: Stack, _rng: random.Random) -> Harm | None:
    """SIGKILL to the APIs once a job is committed and its wake-up is not yet sent."""
    with frozen_redis(stack):
        job_id = stack.submit()
        poll(lambda: False, HANGS_SECONDS)
        kill_apis(stack)
        if not waits_in_outbox(stack, job_id):
            return None
    return _harm("SIGKILL relay before it publishes", stack, job_id)


def kill_after_publish(stack: Stack, _rng: random.Random) -> Harm | None:
    """SIGKILL to the APIs once a wake-up is sent and not yet dropped: it will be sent twice."""
    with locked_outbox(stack) as lock:
        with frozen_redis(stack):
            job_id = stack.submit()
            poll(lambda: False, HANGS_SECONDS)
            lock()
        sent = poll(lambda: has_left(stack, job_id), SENDS_SECONDS)
        kill_apis(stack)
    if not sent or not waits_in_outbox(stack, job_id):
        return None
    return _harm("SIGKILL relay before it drops", stack, job_id)


@contextmanager
def frozen_redis(stack: Stack) -> Iterator[None]:
    """Redis does not answer, and refuses nobody."""
    stack.redis.send(signal.SIGSTOP)
    try:
        yield
    finally:
        stack.redis.send(signal.SIGCONT)


@contextmanager
def locked_outbox(stack: Stack) -> Iterator[Callable[[], object]]:
    """A function that lets nobody add or drop a wake-up until this ends; reading goes on."""
    with stack.database.engine.begin() as connection:
        yield lambda: connection.execute(text("LOCK TABLE outbox IN SHARE MODE"))


def kill_apis(stack: Stack) -> None:
    """SIGKILL to all of them."""
    for api in stack.apis:
        api.send(signal.SIGKILL)


def waits_in_outbox(stack: Stack, job_id: str) -> bool:
    """Whether a wake-up of the job stands in the registry."""
    count = select(func.count()).select_from(Message).where(Message.job_id == job_id)
    with stack.database.read() as session:
        return bool(session.scalar(count))


def has_left(stack: Stack, job_id: str) -> bool:
    """Whether a wake-up of the job was sent: Redis holds it, or a worker has taken the job already."""
    with stack.database.read() as session:
        taken = get_job(session, job_id).state != State.QUEUED
    return taken or stack.holds_message(job_id)


def _harm(kind: str, stack: Stack, job_id: str) -> Harm:
    """Noticed once the wake-up was sent by an API that was started again; recovered once the job is taken."""

    def taken() -> bool:
        with stack.database.read() as session:
            return get_job(session, job_id).fence > 0

    return Harm(kind, job_id, taken, lambda: not waits_in_outbox(stack, job_id))
