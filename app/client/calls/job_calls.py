"""What is asked about jobs."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.client.answers import JobDetail, JobPreview, JobReport, JobView, MetricPoints, Page
from app.client.calls.call import Call, get, idempotency, path_of


def submit_job(spec: Mapping[str, Any], idempotency_key: str | None = None) -> Call[JobDetail]:
    """Queue a training job."""
    return Call(method="POST", path="/jobs", body=dict(spec), headers=idempotency(idempotency_key))


def preview_job(spec: Mapping[str, Any]) -> Call[JobPreview]:
    """What a training job would be."""
    return Call(method="POST", path="/jobs/preview", body=dict(spec))


def job(job_id: str) -> Call[JobDetail]:
    """One job."""
    return get(path_of("jobs", job_id))


def cancel(job_id: str) -> Call[JobDetail]:
    """Stop a job."""
    return Call(method="POST", path=path_of("jobs", job_id, "cancel"))


def resume(job_id: str) -> Call[JobDetail]:
    """Queue a job again from its last checkpoint."""
    return Call(method="POST", path=path_of("jobs", job_id, "resume"))


def metrics(
    job_id: str, names: Sequence[str] = (), after_step: int | None = None, spread: int | None = None
) -> Call[MetricPoints]:
    """Measured values of a job."""
    path = path_of("jobs", job_id, "metrics")
    return get(path, names=list(names) or None, after_step=after_step, spread=spread)


def evaluation(job_id: str) -> Call[JobReport]:
    """How a job's policy was judged."""
    return get(path_of("jobs", job_id, "evaluation"))


def evaluation_page(job_id: str) -> Call[str]:
    """The same as a page."""
    return get(path_of("jobs", job_id, "evaluation.html"))


def evaluation_picture(job_id: str, dataset: str | None = None) -> Call[bytes]:
    """The same as a picture, of one dataset."""
    return get(path_of("jobs", job_id, "evaluation.png"), dataset=dataset)


def log(job_id: str, tail: int | None = None) -> Call[str]:
    """What a job's attempts have said, or its last lines."""
    return get(path_of("jobs", job_id, "log"), tail=tail)


def events(job_id: str, after: int) -> Call[str]:
    """The event stream of a job, from the event after number `after`."""
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
    return Call(method="GET", path=path_of("jobs", job_id, "events"), headers=headers)


def jobs(filters: Mapping[str, Any], cursor: str | None = None) -> Call[Page[JobView]]:
    """A page of jobs."""
    return get("/jobs", **filters, cursor=cursor)
