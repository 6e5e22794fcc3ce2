"""What the service answers about the service itself: pages of lists, workers, its queue and state."""

from typing import Generic, TypedDict, TypeVar

from app.client.answers.json import Json

Item = TypeVar("Item")


class Page(TypedDict, Generic[Item]):
    """A page of a list, the newest items first."""

    items: list[Item]
    next_cursor: str | None


class WorkerView(TypedDict):
    """A worker that consumes."""

    id: str
    tier: str
    queue: str
    queues: list[str]
    state: str
    protocol: int
    plan_version: int
    outdated: bool
    device: Json
    versions: Json
    started_at: str
    seen_at: str
    job: Json | None


class QueueState(TypedDict):
    """What runs and what waits, by tier."""

    broker: str
    tiers: list[Json]


class Health(TypedDict):
    """That the process lives."""

    status: str
    version: str


class Readiness(TypedDict):
    """Whether the service can take and run jobs."""

    status: str
    parts: Json
    workers: list[WorkerView]
