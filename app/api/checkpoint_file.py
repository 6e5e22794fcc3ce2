"""GET /checkpoints/{id}/file: the bytes, whole or in ranges, with their hash as ETag."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from starlette.datastructures import Headers
from starlette.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from app.api.dependencies import CheckpointId, ServiceParts
from app.api.operation import Operation
from app.api.problems import answer_problem, responses
from app.errors import NotFound, RangeNotSatisfiable, Unavailable
from app.registry.checkpoints import find_checkpoint

router = APIRouter(tags=["checkpoints"], route_class=Operation)

SUFFIXES = {"safetensors": ".safetensors", "stable-baselines3": ".zip", "pickle": ".pkl"}
"""What a downloaded file's name ends with, by container; .pt otherwise."""
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


class StoredFile(FileResponse):
    """A file response whose refusals are problem documents, and that ignores units other than bytes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or the problem with the asked range."""
        refused = False

        async def send_or_refuse(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] in {400, 416}:
                refused = True
            if not refused:
                await send(message)

        await super().__call__(_without_foreign_range(scope), receive, send_or_refuse)
        if refused:
            await self._refuse_range()(scope, receive, send)

    def _refuse_range(self) -> Response:
        size = int(self.headers["content-length"])
        hint = f"the file has {size:,} bytes: e.g. Range: bytes=0-{min(size, 1024) - 1}, or bytes=-{min(size, 1024)}"
        error = RangeNotSatisfiable(
            "the Range header names no bytes of the file", hint=hint, pointer="Range", bytes=size
        )
        return answer_problem(error.problem(), {"Content-Range": f"bytes */{size}"})


@router.get(
    "/checkpoints/{checkpoint_id}/file",
    summary="Download a checkpoint",
    response_class=StoredFile,
    responses=FILE_RESPONSES,
)
@router.head("/checkpoints/{checkpoint_id}/file", include_in_schema=False)
def download_file(
    parts: ServiceParts,
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
    name = row.id + SUFFIXES.get(str(row.report.get("format")), ".pt")
    path = parts.storage.path(row.sha256)
    return StoredFile(path, headers=headers, media_type="application/octet-stream", filename=name)


def holds_tag(header: str, sha256: str) -> bool:
    """Whether an If-None-Match header names this hash (weak comparison, RFC 9110 section 13.1.2)."""
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return "*" in tags or f'"{sha256}"' in tags


def _without_foreign_range(scope: Scope) -> Scope:
    """RFC 9110 section 14.2: a Range of an unknown unit is ignored, not refused."""
    unit = Headers(scope=scope).get("range", "bytes=").partition("=")[0].strip().lower()
    if unit == "bytes":
        return scope
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"range"]}
