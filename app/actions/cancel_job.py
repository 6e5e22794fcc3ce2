"""Stop a job, keeping its last checkpoint."""

from app.registry import jobs
from app.registry.database import Database
from app.registry.tables import Job


def cancel_job(database: Database, job_id: str) -> Job:
    """Withdraw a queued job, or ask a running one to checkpoint and stop.

    Raises NotFound, or IllegalMove for a job that has ended.
    """
    with database.write() as session:
        return jobs.cancel(session, job_id)
