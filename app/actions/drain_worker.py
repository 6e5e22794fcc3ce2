"""Have a worker leave, for an upgrade or because its machine is needed."""

from app.registry.database import Database
from app.registry.workers import Drain, ask_to_leave
from app.settings import Settings


def drain_worker(database: Database, settings: Settings, worker_id: str, *, now: bool) -> None:
    """Let it take no other job, finish its own (`now`: hand it back after a checkpoint), and stop.

    Raises NotFound where no such worker is alive.
    """
    with database.write() as session:
        ask_to_leave(session, worker_id, Drain.NOW if now else Drain.DONE, settings.lease_seconds)
