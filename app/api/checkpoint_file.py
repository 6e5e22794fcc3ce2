"""GET /checkpoints/{id}/file: the bytes, whole or in ranges, with their hash as ETag."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from starlette.responses import RedirectResponse

from app.api.dependencies import CheckpointId, Parts, ServiceParts
from app.api.operation import Operation
from app.api.problems import responses
from app.api.stored_file import StoredFile
from app.checkpoint.suffix import suffix_of
from app.errors import NotFound, RangeNotSatisfiable, Unavailable
from app.registry.checkpoints import find_checkpoint

router = APIRouter(tags=["checkpoints"], route_class=Operation)

BINARY = {"schema": {"type": "string", "format": "binary"}, "example": "the bytes of the file"}
FILE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The whole file.",
        "content": {"application/octet-stream": BINARY},
        "headers": {"ETag": {"description": "The file's sha256, quoted.", "schema": {"type": "string"}}},
    },
    206: {
        "description": "The bytes that Range asked for; several ranges as multipart/byteranges.",
        "content": {"application/octet-stream": BINARY},
    },
    304: {"description": "The client has the file already: If-None-Match holds its hash."},
    307: {
        "description": "The file is at `Location` for a few minutes, without a key: the service is set up so that "
        "downloads do not pass through it. ETag and name are those of the file.",
        "headers": {
            "Location": {"description": "A presigned URL of the store.", "schema": {"type": "string"}},
            "ETag": {"description": "The file's sha256, quoted.", "schema": {"type": "string"}},
        },
    },
    **responses(NotFound, RangeNotSatisfiable, Unavailable),
}
IfNoneMatch = Annotated[
    str | None,
    Header(max_length=4_000, description="ETags that the client has: 304 where one is the file's."),
]
IfRange = Annotated[
    str | None,
    Header(max_length=4_000, description="ETag of the file begun: the whole file where it is another."),
]
Range = Annotated[
    str | None,
    Header(
        max_length=4_000, description="Which bytes: `0-1023`, `1024-`, `-512`.", examples=["bytes=0-1023"]
    ),
]


@router.get(
    "/checkpoints/{checkpoint_id}/file",
    summary="Download a checkpoint",
    status_code=200,  # the document would look for it among the response class' arguments
    response_class=StoredFile,
    responses=FILE_RESPONSES,
)
@router.head("/checkpoints/{checkpoint_id}/file", include_in_schema=False)
def download_file(
    parts: ServiceParts,
    request: Request,
    checkpoint_id: CheckpointId,
    if_none_match: IfNoneMatch = None,
    range: Range = None,  # noqa: A002, ARG001
    if_range: IfRange = None,  # noqa: ARG001 - both are read by the response
) -> Response:
    """The file's bytes. The name that it is offered under is its id; the ETag is its sha256."""
    with parts.database.read() as session:
        row = find_checkpoint(session, checkpoint_id)
    headers = {"ETag": f'"{row.sha256}"', "Cache-Control": "private, no-cache"}
    if if_none_match is not None and holds_tag(if_none_match, row.sha256):
        return Response(status_code=304, headers=headers)
    name = row.id + suffix_of(row.report.get("format"))
    found = parts.storage.find(row.sha256)
    if request.method == "GET" and (link := _link(parts, row.sha256)) is not None:
        headers |= {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}"'}
        return RedirectResponse(link, headers=headers)
    return StoredFile(
        parts.storage,
        row.sha256,
        found,
        headers=headers,
        media_type="application/octet-stream",
        filename=name,
    )


def _link(parts: Parts, sha256: str) -> str | None:
    """Where the store itself gives the file, if the settings say so."""
    settings = parts.settings
    if settings.checkpoint_downloads != "redirect":
        return None
    return parts.storage.link_for(sha256, settings.download_url_seconds)


def holds_tag(header: str, sha256: str) -> bool:
    """Whether an If-None-Match header names this hash (weak comparison, RFC 9110 section 13.1.2)."""
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return "*" in tags or f'"{sha256}"' in tags
