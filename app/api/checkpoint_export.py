"""GET /checkpoints/{id}/export: the policy in the format of another library, made while it is sent."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from app.actions.export_checkpoint import export_checkpoint
from app.api.checkpoint_file import BINARY, IfNoneMatch, holds_tag
from app.api.dependencies import CheckpointId, ServiceParts
from app.api.operation import Operation
from app.api.problems import responses
from app.errors import NotExportable, NotFound, Unavailable, UnreadableCheckpoint
from app.export.plan import ExportFormat
from app.network.disk.contents import WRITER_VERSIONS

router = APIRouter(tags=["checkpoints"], route_class=Operation)

EXPORT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file. Content-Length is its exact size; a connection that ends before is a broken export.",
        "content": {"application/octet-stream": BINARY},
        "headers": {"ETag": {"description": "Stands for these bytes.", "schema": {"type": "string"}}},
    },
    304: {"description": "The client has the file already: If-None-Match holds its tag."},
    **responses(NotExportable, UnreadableCheckpoint, NotFound, Unavailable),
}
Format = Annotated[
    ExportFormat,
    Query(
        alias="format",
        description="`onnx`, `safetensors`, `sb3` (a zip that stable_baselines3.PPO.load opens), or `torch` (the "
        "weights alone).",
        examples=["onnx"],
    ),
]


@router.get(
    "/checkpoints/{checkpoint_id}/export",
    summary="Export a checkpoint to another library",
    response_class=StreamingResponse,
    responses=EXPORT_RESPONSES,
)
def export(
    parts: ServiceParts, checkpoint_id: CheckpointId, kind: Format, if_none_match: IfNoneMatch = None
) -> Response:
    """The policy's file; its values are copied from the checkpoint byte for byte, nothing in it is executed.

    `onnx` and `sb3` take whole Caliper checkpoints, whose forward pass is known; `safetensors` and `torch` the network
    of any torch file. ONNX: input `observations` [batch, obs_dim]; outputs `logits`, or `mean` and `log_std`, and
    `value` [batch, 1]; a normaliser that the policy was trained with is part of the graph.
    """
    planned = export_checkpoint(parts.database, parts.storage, checkpoint_id, kind)
    tag = f"{planned.sha256}-{kind}-{WRITER_VERSIONS['caliper']}"
    headers = {"ETag": f'"{tag}"', "Cache-Control": "private, no-cache"}
    if if_none_match is not None and holds_tag(if_none_match, tag):
        return Response(status_code=304, headers=headers)
    name = planned.checkpoint_id + planned.export.suffix
    headers |= {
        "Content-Length": str(planned.export.size),
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return StreamingResponse(planned.blocks(), headers=headers, media_type="application/octet-stream")
