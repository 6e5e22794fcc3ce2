"""/healthz, /readyz, /workers and /queue: does the process live, can the service work, who consumes what."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from anyio import to_thread
from fastapi import APIRouter
from pydantic_core import to_jsonable_python

from app.actions.show_queue import QueueState, show_queue
from app.api.dependencies import Parts, ServiceParts
from app.api.examples import QUEUE, WORKER, answers
from app.api.operation import Operation
from app.api.worker_view import WorkerView, view_worker
from app.errors import Unavailable
from app.network.shape import DOCUMENTED
from app.registry.queue_state import running_by_worker
from app.registry.workers import live_workers

router = APIRouter(tags=["service"], route_class=Operation)

OK = "ok"


@dataclass(frozen=True, slots=True)
class Health:
    """That the process lives."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    status: str
    """Always `ok`: a process that does not live does not answer."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Which parts of the service work."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    status: str
    """`ready`."""
    parts: dict[str, str]
    """`ok` for database, redis and worker; what is wrong otherwise."""
    workers: list[WorkerView]
    """Workers whose consumer loop was heard of in time."""


@router.get("/healthz", summary="Does the process live", responses=answers({"status": OK}))
async def show_health() -> Health:
    """Answers without asking any other part of the service."""
    return Health(OK)


@router.get(
    "/readyz",
    summary="Can the service work",
    responses=answers(
        {"status": "ready", "parts": {"database": OK, "redis": OK, "worker": OK}, "workers": [WORKER]},
        Unavailable,
    ),
)
async def show_readiness(parts: ServiceParts) -> Readiness:
    """200 where the database and Redis answer and a worker consumes; 503 with the state of each part otherwise."""
    workers: list[WorkerView] = []
    states = {"database": OK, "redis": OK, "worker": OK}
    try:
        workers = await to_thread.run_sync(fresh_workers, parts)
    except Unavailable as error:
        states["database"] = error.detail
    try:
        await to_thread.run_sync(parts.queue.ping)
    except Unavailable as error:
        states["redis"] = error.detail
    if not workers:
        states["worker"] = f"none was heard of within {parts.settings.lease_seconds:g} s"
    _require(states, workers)
    return Readiness("ready", states, workers)


@router.get("/workers", summary="List live workers", responses=answers([WORKER], Unavailable))
def show_workers(parts: ServiceParts) -> list[WorkerView]:
    """Workers whose consumer loop was heard of in time, by queue."""
    return fresh_workers(parts)


@router.get("/queue", summary="Show the queues", responses=answers(QUEUE, Unavailable))
def show_queues(parts: ServiceParts) -> QueueState:
    """What runs on each tier, what waits, and why it waits."""
    return show_queue(parts.database, parts.queue, parts.settings)


def fresh_workers(parts: Parts) -> list[WorkerView]:
    """Workers heard of within the lease time; a worker renews its row several times in it."""
    with parts.database.read() as session:
        held = running_by_worker(session)
        rows = live_workers(session, parts.settings.lease_seconds)
        return [view_worker(row, held.get(row.id)) for row in rows]


def _require(states: dict[str, str], workers: Sequence[WorkerView]) -> None:
    failing = [name for name, state in states.items() if state != OK]
    if failing:
        raise Unavailable(
            f"not ready: {', '.join(failing)}",
            hint="`parts` says what is wrong with each; jobs are accepted while the database answers",
            parts=states,
            workers=to_jsonable_python([asdict(worker) for worker in workers]),
        )
