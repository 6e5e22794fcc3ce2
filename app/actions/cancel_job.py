"""Stop a job, keeping its last checkpoint."""

from app.access import LOCAL, Caller, require_owner
from app.registry import jobs
from app.registry.database import Database
from app.registry.tables import Job


def cancel_job(database: Database, job_id: str, caller: Caller = LOCAL) -> Job:
    """Withdraw a queued job, or ask a running one to checkpoint and stop.

    Raises NotFound, Forbidden (another key's job), or IllegalMove for a job that has ended.
    """
    with database.write() as session:
        require_owner(caller, jobs.get_job(session, job_id).key_id, f"the job {job_id}")
        return jobs.cancel(session, job_id)
