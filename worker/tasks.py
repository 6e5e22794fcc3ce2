"""The one task: look at a job, and train it if it can be claimed."""

from celery import Celery, Task

from app.queue import TRAIN_TASK
from app.settings import get_settings
from worker.supervise import supervise_job


def register_tasks(app: Celery) -> None:
    """Give the Celery app its task."""

    @app.task(name=TRAIN_TASK, bind=True)  # type: ignore[untyped-decorator]
    def train(task: Task, job_id: str) -> None:
        supervise_job(job_id, task.request.hostname or "worker", get_settings())
