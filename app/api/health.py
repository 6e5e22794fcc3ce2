"""/healthz, /readyz, /workers and /queue: does the process live, can the service work, who consumes what."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request
from pydantic_core import to_jsonable_python

from app.actions.prove_consumption import OK, UNPROVEN
from app.actions.show_queue import QueueState, show_queue
from app.api.callers import caller_of
from app.api.dependencies import Parts, ServiceParts
from app.api.examples import QUEUE, WORKER, answers
from app.api.operation import Operation
from app.api.selection import Selected, Selection, selection_of
from app.api.worker_view import WorkerView, view_worker
from app.errors import Unavailable
from app.network.disk.contents import WRITER_VERSIONS
from app.network.shape import DOCUMENTED
from app.registry.queue_state import running_by_worker
from app.registry.workers import live_workers

router = APIRouter(tags=["service"], route_class=Operation)

WITHHELD = "not ok; an API key shows why"
"""What whoever asks without a key learns of a part that does not work."""

QUEUE_PART = "queue:"
"""What the name of a queue's part begins with."""


class Part(StrEnum):
    """What /readyz looks at."""

    DATABASE = "database"
    REDIS = "redis"
    WORKER = "worker"
    QUEUES = "queues"


@dataclass(frozen=True, slots=True)
class Health:
    """That the process lives."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    status: str
    """Always `ok`: a process that does not live does not answer."""
    version: str
    """The release that answers."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Which parts of the service work."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    status: str
    """`ready`."""
    parts: dict[str, str]
    """`ok` for database, redis, worker and each queue that a live worker consumes; what is wrong otherwise."""
    workers: list[WorkerView]
    """Workers whose consumer loop was heard of in time."""


@router.get(
    "/healthz", summary="Does the process live", responses=answers({"status": OK, "version": "0.1.0"})
)
async def show_health() -> Health:
    """Answers without asking any other part of the service."""
    return Health(OK, WRITER_VERSIONS["caliper"])


@router.get(
    "/readyz",
    summary="Can the service work",
    responses=answers(
        {
            "status": "ready",
            "parts": {"database": OK, "redis": OK, "worker": OK, "queue:caliper.cpu": OK},
            "workers": [WORKER],
        },
        Unavailable,
    ),
)
async def show_readiness(
    request: Request,
    parts: ServiceParts,
    part: Annotated[
        list[Part] | None,
        Query(description="Only these must be well; left out: all. A load balancer asks for the first two."),
    ] = None,
) -> Readiness:
    """200 where the database and Redis answer and each worker's queue is consumed; 503 with the state of each part otherwise.

    A queue counts as consumed while an idle worker takes the messages that are put there to prove it, or all its
    workers hold a job. Where keys are on, a request without one learns only which parts work.
    """
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
    states |= _queue_states(parts, workers)
    if caller_of(request.scope) is None:  # open to probes, which learn whether, not who and why
        workers, states = [], {name: state if state == OK else WITHHELD for name, state in states.items()}
    _require(states, workers, frozenset(part or Part))
    return Readiness("ready", states, workers)


@router.get("/workers", summary="List live workers", responses=answers([WORKER], Unavailable))
def show_workers(
    parts: ServiceParts, shown: Annotated[Selection[WorkerView], Depends(selection_of(WorkerView))]
) -> list[WorkerView | Selected]:
    """Workers whose consumer loop was heard of in time, by queue."""
    return shown.of(fresh_workers(parts))


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


def _queue_states(parts: Parts, workers: Sequence[WorkerView]) -> dict[str, str]:
    """How each queue stands that a live worker consumes; the first proof is asked for at once."""
    consumed = dict.fromkeys(queue for worker in workers for queue in worker.queues)
    states = parts.proof.states(list(consumed))
    if UNPROVEN in states.values():
        parts.prover.wake()
    return {f"{QUEUE_PART}{name}": state for name, state in states.items()}


def _require(states: dict[str, str], workers: Sequence[WorkerView], wanted: frozenset[Part]) -> None:
    failing = [
        name
        for name, state in states.items()
        if state != OK and (Part.QUEUES if name.startswith(QUEUE_PART) else Part(name)) in wanted
    ]
    if failing:
        raise Unavailable(
            f"not ready: {', '.join(failing)}",
            hint="`parts` says what is wrong with each; jobs are accepted while the database answers",
            parts=states,
            workers=to_jsonable_python([asdict(worker) for worker in workers]),
        )
