"""Say what a training job would be, without queueing it."""

from app.actions.check_walk_forward import check_same_run
from app.actions.submit_job import resolve_job
from app.jobs.spec import JobSpec
from app.registry.database import Database
from app.registry.evaluations import group_jobs
from app.registry.tables import Job
from app.settings import Settings


def preview_job(database: Database, settings: Settings, spec: JobSpec) -> Job:
    """The job that `submit_job` would register by now, in no registry; raises what it would raise."""
    job = resolve_job(database, settings, spec)
    if spec.walk_forward is not None:
        with database.read() as session:
            check_same_run(job, group_jobs(session, spec.walk_forward))
    return job
