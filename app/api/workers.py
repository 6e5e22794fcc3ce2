"""POST /workers/{id}/drain: have a worker leave."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from app.actions.drain_worker import drain_worker
from app.api.dependencies import PRINTABLE, ServiceParts
from app.api.examples import WORKER, answers
from app.api.operation import Operation
from app.api.worker_view import WorkerView, view_worker
from app.errors import NotFound, Unavailable
from app.registry.queue_state import running_by_worker
from app.registry.workers import get_worker

router = APIRouter(tags=["service"], route_class=Operation)

WorkerId = Annotated[
    str, Path(max_length=200, pattern=PRINTABLE, description="Id of the worker, as GET /workers has it.")
]


@router.post(
    "/workers/{worker_id}/drain",
    summary="Have a worker leave",
    status_code=202,
    responses=answers({**WORKER, "state": "draining", "queues": []}, NotFound, Unavailable, status=202),
)
def drain(
    parts: ServiceParts,
    worker_id: WorkerId,
    *,
    now: Annotated[
        bool, Query(description="Hand its job back after a checkpoint, instead of finishing it first.")
    ] = False,
) -> WorkerView:
    """It takes no other job from this moment on, ends the one that it holds, and stops.

    It reads the wish with its next heartbeat. A job that is handed back costs no attempt; another worker goes on with it.
    """
    drain_worker(parts.database, parts.settings, worker_id, now=now)
    with parts.database.read() as session:
        return view_worker(get_worker(session, worker_id), running_by_worker(session).get(worker_id))
