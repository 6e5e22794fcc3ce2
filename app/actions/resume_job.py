"""Go on with a failed or cancelled job."""

from app.access import LOCAL, Caller, require_owner
from app.actions.check_quota import check_job_quota
from app.registry import jobs
from app.registry.database import Database
from app.registry.tables import Job
from app.settings import Settings


def resume_job(database: Database, settings: Settings, job_id: str, caller: Caller = LOCAL) -> Job:
    """Queue the job again, from its last checkpoint where it has one.

    Raises NotFound, Forbidden (another key's job), QuotaExceeded (its key's), Conflict (a dataset of it was deleted), or
    IllegalMove for a job that is queued, running or done.
    """
    with database.write() as session:
        key_id = jobs.get_job(session, job_id).key_id
        require_owner(caller, key_id, f"the job {job_id}")
        check_job_quota(session, settings, key_id)
        return jobs.resume(session, job_id)
