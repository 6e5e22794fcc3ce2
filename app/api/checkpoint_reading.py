"""The operations that read checkpoints and keep nothing: inspect, and the diffs."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.actions.compare_checkpoints import compare_checkpoints, compare_uploads
from app.actions.inspect_stored import inspect_stored
from app.actions.inspect_upload import inspect_upload
from app.api import weights_diffs
from app.api.checkpoints import UploadedCheckpoint, UploadName, shown_name
from app.api.dependencies import PRINTABLE, CheckpointId, ServiceParts
from app.api.examples import answers
from app.api.operation import Operation
from app.checkpoint.diff import CheckpointDiff
from app.checkpoint.report import CheckpointReport
from app.errors import LimitExceeded, NotFound, Unavailable, UnreadableCheckpoint

router = APIRouter(tags=["checkpoints"], route_class=Operation)
router.include_router(weights_diffs.router)

Either = Annotated[str, Query(max_length=200, pattern=PRINTABLE, description="Id or alias of a checkpoint.")]

REPORT_EXAMPLE = {"name": "model.pt", "format": "torch-zip", "producer": "caliper", "complete": True}
DIFF_EXAMPLE = {"left": "monday.pt", "right": "tuesday.pt", "tensors_only_left": [], "tensors_only_right": []}


@router.post(
    "/checkpoints/inspect",
    summary="Inspect a checkpoint file",
    responses=answers(REPORT_EXAMPLE, UnreadableCheckpoint, LimitExceeded, Unavailable),
)
async def inspect(parts: ServiceParts, file: UploadedCheckpoint, name: UploadName = None) -> CheckpointReport:
    """Everything that is in the file: network, tensors, optimizer, configuration, findings.

    The file is read in a sandbox; nothing of it is executed, nothing is kept.
    """
    shown = name or shown_name(file)
    return await parts.read_upload(inspect_upload, parts.storage, parts.settings, file.file, name=shown)


@router.get(
    "/checkpoints/{checkpoint_id}/inspection",
    summary="Inspect a registered checkpoint anew",
    responses=answers(REPORT_EXAMPLE, NotFound, UnreadableCheckpoint, LimitExceeded, Unavailable),
)
async def inspect_registered(parts: ServiceParts, checkpoint_id: CheckpointId) -> CheckpointReport:
    """What today's reader sees in the stored file; `report` of the checkpoint is what was seen when it was taken in.

    Its header and pickles are read by ranges, not the weights: a few kilobytes, also of a file in a store.
    """
    return await parts.read_upload(
        inspect_stored, parts.database, parts.storage, parts.settings, checkpoint_id
    )


@router.get(
    "/checkpoints/diff",
    summary="Compare two checkpoints",
    responses=answers(DIFF_EXAMPLE, NotFound, UnreadableCheckpoint, Unavailable),
)
def diff_registered(parts: ServiceParts, left: Either, right: Either) -> CheckpointDiff:
    """What differs between two registered checkpoints, and what follows from it.

    Layer by layer, configuration, features, optimizer; whether the right's weights load into the left's
    network and which keys would fail; whether one may stand in for the other; whether they are of one
    training. How far the weights lie apart: POST /checkpoints/diff/weights.
    """
    return compare_checkpoints(parts.database, left, right)


@router.post(
    "/checkpoints/diff",
    summary="Compare two checkpoint files",
    responses=answers(DIFF_EXAMPLE, UnreadableCheckpoint, LimitExceeded, Unavailable),
)
async def diff_uploads(
    parts: ServiceParts, left: UploadedCheckpoint, right: UploadedCheckpoint
) -> CheckpointDiff:
    """What differs between two files; both are read as by POST /checkpoints/inspect, neither is kept."""
    names = (shown_name(left), shown_name(right))
    return await parts.read_upload(
        compare_uploads, parts.storage, parts.settings, left.file, right.file, names=names
    )
