"""What is asked about the service itself."""

from app.client.answers import Health, QueueState, Readiness, WorkerView
from app.client.calls.call import Call, get, path_of


def workers() -> Call[list[WorkerView]]:
    """Workers that consume."""
    return get("/workers")


def drain_worker(worker_id: str, *, now: bool) -> Call[WorkerView]:
    """Have a worker leave."""
    params = {"now": "true"} if now else {}
    path = path_of("workers", worker_id, "drain")
    return Call(method="POST", path=path, params=params, idempotent=True)


def queue() -> Call[QueueState]:
    """What runs and what waits."""
    return get("/queue")


def health() -> Call[Health]:
    """Whether the process lives."""
    return get("/healthz")


def measurements() -> Call[str]:
    """What Prometheus reads."""
    return get("/metrics")


def ready() -> Call[Readiness]:
    """Whether the service can take and run jobs."""
    return get("/readyz")
