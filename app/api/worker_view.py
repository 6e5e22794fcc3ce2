"""How a worker is shown."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from app.actions.show_queue import RunningJob, view_running
from app.api.rows import view_row
from app.jobs.protocol import MESSAGE_VERSION, PLAN_VERSION
from app.network.shape import DOCUMENTED
from app.registry.queue_state import Held
from app.registry.tables import Worker
from app.registry.workers import queues_of


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """A worker that consumes a tier's queue."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    id: str
    """Its node name."""
    tier: str
    """The GPU tier of its device."""
    queue: str
    """The queue of its own tier."""
    queues: list[str]
    """All queues that it takes jobs from; empty once it is to leave."""
    state: Literal["ready", "draining"]
    """`draining` once it was asked to leave: it ends its job, takes no other, and stops."""
    protocol: int
    """The newest wake-ups that it understands."""
    plan_version: int
    """The newest plans of jobs that it reads; it is given no newer ones."""
    outdated: bool
    """Whether it is of an older release than the one that answers."""
    device: dict[str, Any]
    """Name and memory of its device."""
    versions: dict[str, Any]
    """What it runs: Python, torch, driver."""
    started_at: datetime
    """When it began to consume."""
    seen_at: datetime
    """When its consumer loop was last heard of."""
    job: RunningJob | None
    """The job that it holds; null while it has none."""


def view_worker(row: Worker, held: Held | None) -> WorkerView:
    """A worker as it is shown, with the job that it holds."""
    job = view_running(held) if held is not None else None
    return view_row(
        row,
        WorkerView,
        seen_at=datetime.fromtimestamp(row.seen_at, UTC),
        queues=list(queues_of(row)),
        state="draining" if row.drain else "ready",
        outdated=row.protocol < MESSAGE_VERSION or row.plan_version < PLAN_VERSION,
        job=job,
    )
