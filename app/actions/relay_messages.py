"""Send what the outbox holds to the broker."""

from collections.abc import Sequence

from app.errors import Unavailable
from app.queue import Queue
from app.registry.database import Database
from app.registry.outbox import drop_messages, next_messages
from app.registry.tables import Message

BATCH = 100
"""Messages sent per transaction."""


def relay_messages(database: Database, queue: Queue) -> int:
    """Publish pending wake-ups and return their number; raises Unavailable with the rest still pending.

    Sent first and dropped after: a crash between the two sends a message twice, which is harmless, and
    never loses one. On PostgreSQL the messages stay locked meanwhile, and other relays pass over them; SQLite has one
    API process, and its one write lock must not wait for Redis.
    """
    if database.is_sqlite:
        with database.read() as session:
            pending = next_messages(session, BATCH)
        sent, failure = _send(queue, pending)
        if sent:
            with database.write() as session:
                drop_messages(session, sent)
    else:
        with database.write() as session:
            sent, failure = _send(queue, next_messages(session, BATCH))
            drop_messages(session, sent)
    if failure is not None:
        raise failure
    return len(sent)


def _send(queue: Queue, pending: Sequence[Message]) -> tuple[list[int], Unavailable | None]:
    """Ids of the messages that were sent, and what stopped it."""
    sent: list[int] = []
    for message in pending:
        try:
            queue.send(message.queue, message.job_id, message.fence)
        except Unavailable as error:
            return sent, error
        sent.append(message.id)
    return sent, None
