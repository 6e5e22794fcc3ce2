"""Send what the outbox holds to the broker."""

from app.queue import Queue
from app.registry.database import Database
from app.registry.outbox import drop_messages, next_messages

BATCH = 100
"""Messages sent per transaction."""


def relay_messages(database: Database, queue: Queue) -> int:
    """Publish pending wake-ups and return their number; raises Unavailable with the rest still pending.

    Sent first and dropped after: a crash between the two sends a message twice, which is harmless, and
    never loses one.
    """
    with database.read() as session:
        pending = next_messages(session, BATCH)
    sent: list[int] = []
    try:
        for message in pending:
            queue.send(message.queue, message.job_id, message.fence)
            sent.append(message.id)
    finally:
        if sent:
            with database.write() as session:
                drop_messages(session, sent)
    return len(sent)
