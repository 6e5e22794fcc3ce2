"""Go on with a failed or cancelled job."""

from app.registry import jobs
from app.registry.database import Database
from app.registry.tables import Job


def resume_job(database: Database, job_id: str) -> Job:
    """Queue the job again, from its last checkpoint where it has one.

    Raises NotFound (the job, or its deleted dataset), or IllegalMove for a job that is queued, running or done.
    """
    with database.write() as session:
        return jobs.resume(session, job_id)
