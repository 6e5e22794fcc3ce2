"""The /uploads operations: a checkpoint file in parts, over connections that break.

A client says how large the file is, sends parts that follow one another, asks how much has arrived where a
connection broke, and finishes with POST /checkpoints and `upload`. The headers are those of the tus protocol
(https://tus.io/protocols/resumable-upload, core); the bodies of answers say the same as JSON.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar

from anyio import CancelScope
from fastapi import APIRouter, Body, Header, Path, Request, Response
from pydantic import Field
from starlette.requests import ClientDisconnect

from app.access import Caller
from app.actions.begin_upload import begin_upload
from app.actions.continue_upload import Part, continue_upload, received_of
from app.actions.discard_upload import discard_upload
from app.api.dependencies import PRINTABLE, AskedBy, Parts, ServiceParts
from app.api.examples import answers
from app.api.operation import Operation, PartOperation
from app.api.problems import responses
from app.errors import Conflict, InvalidInput, LimitExceeded, NotFound, QuotaExceeded, Unavailable
from app.network.shape import DOCUMENTED
from app.registry.tables import Upload
from app.registry.uploads import find_upload
from app.storage import CHUNK_BYTES

router = APIRouter(tags=["uploads"], route_class=Operation)
parts_router = APIRouter(tags=["uploads"], route_class=PartOperation)

UploadId = Annotated[str, Path(max_length=200, pattern=PRINTABLE, description="Id of the upload.")]
UploadOffset = Annotated[
    int, Header(ge=0, le=1 << 50, description="The byte that the part begins at: as many as have arrived.")
]
HEADERS = {
    "Upload-Offset": {"description": "Bytes that have arrived.", "schema": {"type": "integer"}},
    "Upload-Length": {"description": "Bytes of the whole file.", "schema": {"type": "integer"}},
}
PART_BODY = {
    "requestBody": {
        "description": "The bytes from `Upload-Offset` on, as many as you like; what arrives is kept even "
        "where the connection breaks.",
        "required": False,
        "content": {"application/offset+octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
EXAMPLE = {
    "id": "upload_019ab3c2d1e04f6a7b8c9d",
    "name": "model.pt",
    "bytes": 163_726_848,
    "received": 67_108_864,
    "sha256": None,
    "checkpoint_id": None,
    "expires_at": "2026-11-24T09:00:00Z",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRequest:
    """A file that is to come in parts."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"use_attribute_docstrings": True, "extra": "forbid"}

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE)]
    """Name of the checkpoint."""
    bytes: Annotated[int, Field(ge=1, le=1 << 50)]
    """Size of the whole file."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Its hash, where it is known: what arrives is then held against it before it is registered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadView:
    """An upload in parts."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    id: str
    """Identifier."""
    name: str
    """Name of the checkpoint that it will be."""
    bytes: int
    """Size of the whole file."""
    received: int
    """Bytes that have arrived: the next part begins here."""
    sha256: str | None
    """The hash that the client stated."""
    checkpoint_id: str | None
    """The checkpoint that it became; null until it is finished."""
    expires_at: datetime
    """When it is given up unless a part comes before."""


@router.post(
    "/uploads",
    status_code=201,
    summary="Begin an upload in parts",
    responses=answers(
        {**EXAMPLE, "received": 0},
        *(LimitExceeded, QuotaExceeded, Unavailable),
        status=201,
        headers={**HEADERS, "Location": {"description": "The upload's path.", "schema": {"type": "string"}}},
    ),
)
def begin(
    parts: ServiceParts,
    asked_by: AskedBy,
    response: Response,
    request: Annotated[UploadRequest, Body(examples=[{"name": "model.pt", "bytes": 163_726_848}])],
) -> UploadView:
    """Announce a file; its bytes are then sent by PATCH, and POST /checkpoints with `upload` registers it.

    Announced again with the same name, size and hash, an unfinished upload goes on: see `received`.
    """
    upload = begin_upload(
        parts.database,
        parts.storage,
        parts.settings,
        name=request.name,
        size=request.bytes,
        sha256=request.sha256,
        caller=asked_by,
    )
    response.headers["Location"] = f"/uploads/{upload.id}"
    return _view(upload, received_of(parts.storage, upload), response)


@router.get(
    "/uploads/{upload_id}",
    summary="Show an upload in parts",
    responses=answers(EXAMPLE, NotFound, Unavailable, headers=HEADERS),
)
def show_upload(parts: ServiceParts, response: Response, upload_id: UploadId) -> UploadView:
    """How much of the file has arrived: where the next part begins."""
    upload = _find(parts, upload_id)
    return _view(upload, received_of(parts.storage, upload), response)


@router.head(
    "/uploads/{upload_id}",
    status_code=204,
    summary="Ask where an upload goes on",
    responses={204: {"headers": HEADERS}, **responses(NotFound, Unavailable)},
)
def show_offset(parts: ServiceParts, response: Response, upload_id: UploadId) -> None:
    """The same in the headers alone: Upload-Offset and Upload-Length."""
    upload = _find(parts, upload_id)
    _view(upload, received_of(parts.storage, upload), response)


@parts_router.patch(
    "/uploads/{upload_id}",
    summary="Send a part",
    responses=answers(EXAMPLE, NotFound, Conflict, LimitExceeded, Unavailable, headers=HEADERS),
    openapi_extra=PART_BODY,
)
async def receive_part(
    parts: ServiceParts,
    asked_by: AskedBy,
    request: Request,
    response: Response,
    upload_id: UploadId,
    upload_offset: UploadOffset,
) -> UploadView:
    """Append the body at `Upload-Offset`, which must be the number of bytes that have arrived.

    A part out of order or over bytes that are there is refused with 409, whose `received` says where to go
    on; a part that passes the file's end with 413. Nothing is read into memory beyond a megabyte.
    """
    async with _opened(parts, asked_by, upload_id, upload_offset) as part:
        await parts.in_thread(part.require_room, _declared_bytes(request))
        try:
            async for block in _blocks(request):
                await parts.in_thread(part.write, block)
        except ClientDisconnect:
            raise InvalidInput("the connection ended within the part", hint="what arrived is kept") from None
    return _view(part.upload, part.received, response)


@router.delete(
    "/uploads/{upload_id}",
    status_code=204,
    summary="Give up an upload",
    responses=responses(NotFound, Unavailable),
)
def delete_upload(parts: ServiceParts, asked_by: AskedBy, upload_id: UploadId) -> None:
    """Forget an upload and its bytes; a checkpoint that it became stays."""
    discard_upload(parts.database, parts.storage, upload_id, asked_by)


@asynccontextmanager
async def _opened(parts: Parts, caller: Caller, upload_id: str, offset: int) -> AsyncIterator[Part]:
    """The part, closed even where the service stops in the midst of it."""
    part = await parts.in_thread(
        continue_upload, parts.database, parts.storage, parts.settings, upload_id, offset, caller
    )
    try:
        yield part
    finally:
        with CancelScope(shield=True):
            await parts.in_thread(part.close)


async def _blocks(request: Request) -> AsyncIterator[bytes]:
    """The body in blocks of about a megabyte, so that few steps go to the disk's thread.

    What had arrived before the connection broke is handed on before the break is told.
    """
    block = bytearray()
    try:
        async for chunk in request.stream():
            block += chunk
            if len(block) >= CHUNK_BYTES:
                yield bytes(block)
                block.clear()
    except ClientDisconnect:
        if block:
            yield bytes(block)
        raise
    if block:
        yield bytes(block)


def _declared_bytes(request: Request) -> int:
    """How long the body says that it is; 0 where it does not."""
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isdecimal() else 0


def _find(parts: Parts, upload_id: str) -> Upload:
    with parts.database.read() as session:
        return find_upload(session, upload_id)


def _view(upload: Upload, received: int, response: Response) -> UploadView:
    response.headers["Upload-Offset"] = str(received)
    response.headers["Upload-Length"] = str(upload.bytes)
    return UploadView(
        id=upload.id,
        name=upload.name,
        bytes=upload.bytes,
        received=received,
        sha256=upload.sha256,
        checkpoint_id=upload.checkpoint_id,
        expires_at=upload.expires_at,
    )
