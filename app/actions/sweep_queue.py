"""Put right what crashes left behind: expired leases, passed deadlines and lost messages.

Two loops of their own: a broker that hangs must not delay the notice of a lost worker. Several API processes may do
this at once: what one has locked the others pass over.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from app.jobs.lifecycle import Outcome
from app.queue import Queue
from app.registry.attempts import (
    Hold,
    expire_job,
    lose_attempt,
)
from app.registry.database import Database, Session
from app.registry.late_holders import (
    expired_leases,
    lock_expired,
    lock_overdue,
    overdue_attempts,
)
from app.registry.outbox import add_message, silent_jobs, still_silent
from app.registry.tables import Job
from app.registry.workers import live_workers, queues_of
from app.settings import Settings

SENT_AT_ONCE = 1_000
"""Most messages that one turn writes for a queue."""


def reap_leases(database: Database, settings: Settings) -> int:
    """End every attempt whose lease ran out, or whose deadline passed without its worker's doing anything about it.

    A job whose lease ran out goes on from its last checkpoint, or fails; one whose time is over fails.
    """
    late = settings.cancel_grace_seconds + settings.lease_seconds
    with database.read() as session:
        expired, overdue = expired_leases(session), overdue_attempts(session, late)

    def lose(session: Session, hold: Hold) -> bool:
        reason = "the worker was not heard of in time"
        return lock_expired(session, hold) and lose_attempt(session, hold, Outcome.WORKER_LOST, reason)

    def expire(session: Session, hold: Hold) -> bool:
        return lock_overdue(session, hold, late) and expire_job(session, hold, "its worker did not end it")

    return _end_each(database, expired, lose) + _end_each(database, overdue, expire)


def resend_messages(database: Database, queue: Queue, settings: Settings) -> int:
    """Write wake-ups again where a queue holds fewer than jobs wait in it; the number of them.

    A message in a worker's hands does not count: it woke that worker already, or died with it. Raises Unavailable
    when Redis does not answer.
    """
    with database.read() as session:
        silent = silent_jobs(session, _newest_plans(session, settings))
    missing = _lost(silent, {name: queue.length(name) for name in {job.queue for job in silent}})
    if not missing:
        return 0
    with database.write() as session:
        still = still_silent(session, missing)
        for job in still:
            add_message(session, job)
    return len(still)


def _end_each(database: Database, holds: Sequence[Hold], end: Callable[[Session, Hold], bool]) -> int:
    ended = 0
    for hold in holds:
        with database.write() as session:
            ended += end(session, hold)
    return ended


def _newest_plans(session: Session, settings: Settings) -> Mapping[str, int]:
    """Queue -> the newest plans that its live workers read; a queue without one is left out."""
    newest: dict[str, int] = {}
    for worker in live_workers(session, settings.lease_seconds):
        for queue in queues_of(worker):
            newest[queue] = max(newest.get(queue, 0), worker.plan_version)
    return newest


def _lost(silent: Sequence[Job], live: Mapping[str, int]) -> list[Job]:
    """As many jobs of each queue as its messages are too few; the last in line, for the first will be woken by these."""
    counts = Counter(job.queue for job in silent)
    short = {name: min(count - live[name], SENT_AT_ONCE) for name, count in counts.items()}
    lost = []
    for job in reversed(silent):
        if short[job.queue] > 0:
            short[job.queue] -= 1
            lost.append(job)
    return lost
