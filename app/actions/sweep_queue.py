"""Put right what crashes left behind: expired leases and lost messages.

Two loops of their own: a broker that hangs must not delay the notice of a lost worker.
"""

from app.jobs.lifecycle import Outcome
from app.queue import Queue, message_id
from app.registry.attempts import expired_leases, lose_attempt
from app.registry.database import Database
from app.registry.outbox import add_message, is_silent, silent_jobs


def reap_leases(database: Database) -> int:
    """End every attempt whose lease ran out; the job goes on from its last checkpoint or fails."""
    with database.read() as session:
        expired = expired_leases(session)
    ended = 0
    for hold in expired:
        with database.write() as session:
            ended += lose_attempt(session, hold, Outcome.WORKER_LOST, "the worker was not heard of in time")
    return ended


def resend_messages(database: Database, queue: Queue, taken_seconds: float) -> int:
    """Write wake-ups of queued jobs again that the broker no longer holds; the number of them.

    One that a worker took longer ago than `taken_seconds` without claiming its job counts as lost: the worker may
    be dead, and the broker would keep its message for days. Raises Unavailable when Redis does not answer.
    """
    with database.read() as session:
        silent = silent_jobs(session)
    live: dict[str, set[str]] = {
        name: queue.live_messages(name, taken_seconds) for name in {job.queue for job in silent}
    }
    lost = [job for job in silent if message_id(job.id, job.fence) not in live[job.queue]]
    with database.write() as session:
        still = [job for job in lost if is_silent(session, job)]
        for job in still:
            add_message(session, job)
    return len(still)
