"""What is asked about the service itself."""

from app.client.answers import Health, QueueState, Readiness, WorkerView
from app.client.calls.call import Call, get


def workers() -> Call[list[WorkerView]]:
    """Workers that consume."""
    return get("/workers")


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
