"""Put right what crashes left behind: expired leases and lost messages."""

from dataclasses import dataclass

from app.jobs.lifecycle import Outcome
from app.queue import Queue, message_id
from app.registry.attempts import expired_leases, lose_attempt
from app.registry.database import Database
from app.registry.outbox import add_message, silent_jobs


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did."""

    lost_workers: int
    resent_messages: int


def sweep_queue(database: Database, queue: Queue) -> Swept:
    """Re-queue jobs whose worker is silent, and re-send wake-ups that the broker no longer holds.

    Raises Unavailable when Redis does not answer; the leases have been looked after by then.
    """
    lost = reap_leases(database)
    return Swept(lost, _resend_messages(database, queue))


def reap_leases(database: Database) -> int:
    """End every attempt whose lease ran out; the job goes on from its last checkpoint or fails."""
    with database.read() as session:
        expired = expired_leases(session)
    ended = 0
    for hold in expired:
        with database.write() as session:
            ended += lose_attempt(session, hold, Outcome.WORKER_LOST, "the worker was not heard of in time")
    return ended


def _resend_messages(database: Database, queue: Queue) -> int:
    with database.read() as session:
        silent = silent_jobs(session)
    live: dict[str, set[str]] = {name: queue.live_messages(name) for name in {job.queue for job in silent}}
    lost = [job for job in silent if message_id(job.id, job.fence) not in live[job.queue]]
    with database.write() as session:
        for job in lost:
            add_message(session, job)
    return len(lost)
