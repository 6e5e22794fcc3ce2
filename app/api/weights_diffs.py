"""The /checkpoints/diff/weights operations: asked for, answered by a worker, fetched when done."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter, Path, Query, Response

from app.actions.compare_weights import request_weights_diff
from app.api.dependencies import PRINTABLE, Parts, ServiceParts
from app.api.examples import CHECKPOINT_ID, EARLIER, answers
from app.api.operation import Operation
from app.checkpoint.weights_diff import WeightsDiff as WeightsAnswer
from app.errors import NotFound, Unavailable, UnreadableCheckpoint
from app.network.shape import DOCUMENTED
from app.registry.tables import WeightsDiff
from app.registry.weights_diffs import find_diff, is_held
from app.registry.workers import live_workers

router = APIRouter(tags=["checkpoints"], route_class=Operation)

Either = Annotated[str, Query(max_length=200, pattern=PRINTABLE, description="Id or alias of a checkpoint.")]
DiffId = Annotated[str, Path(max_length=200, pattern=PRINTABLE, description="Id of the comparison.")]
EXAMPLE = {
    "id": "weights_019ab3d5f2e04f6a7b8c9d",
    "state": "queued",
    "waiting": "no worker is running",
    "left_id": CHECKPOINT_ID,
    "right_id": CHECKPOINT_ID,
    "result": None,
    "error": None,
    "created_at": EARLIER,
    "ended_at": None,
}
HEADERS = {"Location": {"description": "Where the answer will be.", "schema": {"type": "string"}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsDiffView:
    """A comparison of weights."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    id: str
    """Identifier."""
    state: Literal["queued", "running", "succeeded", "failed"]
    """How it stands."""
    waiting: str | None
    """What it waits for: `no worker is running`, or that one takes it up; null while a worker reads, and once it ended."""
    left_id: str
    """The left checkpoint."""
    right_id: str
    """The right checkpoint."""
    result: WeightsAnswer | None
    """The answer, once it succeeded."""
    error: dict[str, Any] | None
    """Why it failed, as a problem document."""
    created_at: datetime
    """When it was first asked for."""
    ended_at: datetime | None
    """When it ended."""


@router.post(
    "/checkpoints/diff/weights",
    status_code=202,
    summary="Compare the weights of two checkpoints",
    responses=answers(EXAMPLE, NotFound, UnreadableCheckpoint, Unavailable, status=202, headers=HEADERS),
)
def begin_weights_diff(
    parts: ServiceParts, response: Response, left: Either, right: Either
) -> WeightsDiffView:
    """Ask how far the weights lie apart, tensor by tensor: a worker reads the values, also while it trains.

    The same two checkpoints give the same comparison; fetch it at `Location` until it has ended.
    """
    row = request_weights_diff(parts.database, left, right)
    response.headers["Location"] = f"/checkpoints/diff/weights/{row.id}"
    return _view(parts, row)


@router.get(
    "/checkpoints/diff/weights/{diff_id}",
    summary="Show a comparison of weights",
    responses=answers(EXAMPLE, NotFound, Unavailable),
)
def show_weights_diff(parts: ServiceParts, diff_id: DiffId) -> WeightsDiffView:
    """How a comparison stands, what it waits for, and its answer.

    One whose worker died is taken up by the next.
    """
    with parts.database.read() as session:
        row = find_diff(session, diff_id)
    return _view(parts, row)


def _waiting(parts: Parts, row: WeightsDiff) -> str | None:
    """What keeps a comparison; the API itself only writes the wish down."""
    if row.state not in {"queued", "running"}:
        return None
    with parts.database.read() as session:
        if is_held(session, row.id):
            return None
        workers = live_workers(session, parts.settings.lease_seconds)
    return "a worker takes it up within seconds" if workers else "no worker is running"


def _view(parts: Parts, row: WeightsDiff) -> WeightsDiffView:
    return WeightsDiffView(
        id=row.id,
        state=row.state,  # type: ignore[arg-type]  # one of the four, by registry.weights_diffs
        waiting=_waiting(parts, row),
        left_id=row.left_id,
        right_id=row.right_id,
        result=None if row.result is None else WeightsAnswer.from_plain(row.result),
        error=row.error,
        created_at=row.created_at,
        ended_at=row.ended_at,
    )
