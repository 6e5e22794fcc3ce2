"""The /checkpoints operations on registered checkpoints: store, list, show, label and delete."""

from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Body, Depends, File, Form, Response, UploadFile
from pydantic import Field

from app.actions.accept_checkpoint import accept_checkpoint, accept_parts
from app.actions.discard_checkpoint import discard_checkpoint
from app.actions.label_checkpoint import label_checkpoint
from app.api import upload_parts
from app.api.checkpoint_view import CheckpointDetail, CheckpointView, detail_checkpoint, view_checkpoints
from app.api.dependencies import (
    PRINTABLE,
    AskedBy,
    CheckpointId,
    Cursor,
    IdempotencyKey,
    Limit,
    Parts,
    ServiceParts,
)
from app.api.examples import CHECKPOINT, CHECKPOINT_DETAIL, answers, page_of
from app.api.filters import (
    Filters,
    Hash,
    Metric,
    MetricMax,
    MetricMin,
    ObsDim,
    PartOfName,
    Widths,
    exact,
    given_filters,
)
from app.api.operation import Operation
from app.api.page import Page
from app.api.problems import responses
from app.api.selection import Selected, Selection, selection_of
from app.errors import (
    Conflict,
    IdempotencyMismatch,
    InvalidInput,
    LimitExceeded,
    NotFound,
    QuotaExceeded,
    Unavailable,
    UnreadableCheckpoint,
)
from app.registry.checkpoint_lists import list_checkpoints
from app.registry.checkpoints import find_checkpoint

router = APIRouter(tags=["checkpoints"], route_class=Operation)
router.include_router(upload_parts.router)
router.include_router(upload_parts.parts_router)

MOST_LABELS = 50
UploadedCheckpoint = Annotated[
    UploadFile, File(description="A torch file, a safetensors file, or a stable-baselines3 archive.")
]
UploadName = Annotated[
    str | None,
    Form(
        min_length=1,
        max_length=200,
        pattern=PRINTABLE,
        description="Name of the checkpoint; the file's where left out.",
    ),
]
FinishedUpload = Annotated[
    str | None,
    Form(max_length=200, pattern=PRINTABLE, description="Id of an upload in parts that has wholly arrived."),
]
UploadHash = Annotated[
    str | None,
    Form(pattern=r"^[0-9a-f]{64}$", description="The file's hash, to be held against what arrives."),
]
UploadTags = Annotated[list[str] | None, Form(max_length=MOST_LABELS, description="Words to put on it.")]


STORED_HEADERS = {
    "Location": {"description": "The checkpoint's path.", "schema": {"type": "string"}},
    "Idempotent-Replay": {
        "description": "`true` where an earlier request made the checkpoint: with this key, of this upload, "
        "or of the same bytes under the same name.",
        "schema": {"type": "string"},
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointLabels:
    """What PATCH may change; what is left out stays as it is."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"use_attribute_docstrings": True, "extra": "forbid"}

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE)] | None = None
    """A new name."""
    tags: Annotated[list[str], Field(max_length=MOST_LABELS)] | None = None
    """All tags that it shall have."""
    aliases: Annotated[list[str], Field(max_length=MOST_LABELS)] | None = None
    """All aliases that it shall have; one that pointed elsewhere moves here."""


async def read_filters(  # noqa: PLR0913, PLR0917 - one parameter per filter
    hidden_dims: Widths = None,
    obs_dim: ObsDim = None,
    producer: Annotated[str | None, exact("Software that wrote it.")] = None,
    kind: Annotated[str | None, exact("`uploaded`, `periodic`, `final`, …")] = None,
    job: Annotated[str | None, exact("Id of the job that made it.")] = None,
    tag: Annotated[str | None, exact("A word put on it.")] = None,
    alias: Annotated[str | None, exact("A name that points to it alone.")] = None,
    name: PartOfName = None,
    sha256: Hash = None,
    metric: Metric = None,
    metric_min: MetricMin = None,
    metric_max: MetricMax = None,
) -> Filters:
    """What listed checkpoints must have."""
    return given_filters(
        {
            "hidden_dims": hidden_dims,
            "obs_dim": obs_dim,
            "producer": producer,
            "kind": kind,
            "job_id": job,
            "tag": tag,
            "alias": alias,
            "name": name,
            "sha256": sha256,
            "metric": metric,
            "metric_min": metric_min,
            "metric_max": metric_max,
        }
    )


@router.post(
    "/checkpoints",
    status_code=201,
    summary="Store a checkpoint",
    responses=answers(
        CHECKPOINT_DETAIL,
        *(UnreadableCheckpoint, LimitExceeded, IdempotencyMismatch, Conflict),
        *(NotFound, QuotaExceeded, Unavailable),
        status=201,
        headers=STORED_HEADERS,
    ),
)
async def store_checkpoint(  # noqa: PLR0913, PLR0917 - one parameter per form field
    parts: ServiceParts,
    asked_by: AskedBy,
    response: Response,
    file: UploadedCheckpoint | None = None,
    upload: FinishedUpload = None,
    name: UploadName = None,
    tags: UploadTags = None,
    sha256: UploadHash = None,
    idempotency_key: IdempotencyKey = None,
) -> CheckpointDetail:
    """Read the file without running any of it, keep it under its hash and register it.

    Send either the `file`, or as `upload` the id of an upload in parts that has wholly arrived. The same
    bytes are stored once; the same bytes under the same name are the checkpoint that is there. A suspicious
    file is stored with its findings; what is no checkpoint at all is refused.
    """
    shared: dict[str, Any] = {"tags": tags or (), "idempotency_key": idempotency_key, "sha256": sha256}
    shared["caller"] = asked_by
    service = (parts.database, parts.storage, parts.settings)
    if (file is None) == (upload is None):
        raise InvalidInput("give either file or upload", hint="one of the two", pointer="file")
    if file is not None:
        given = {"name": name or shown_name(file), **shared}
        accepted = await parts.read_upload(accept_checkpoint, *service, file.file, **given)
    else:
        accepted = await parts.read_upload(accept_parts, *service, upload, name=name, **shared)
    response.headers["Location"] = f"/checkpoints/{accepted.checkpoint.id}"
    if not accepted.created:
        response.headers["Idempotent-Replay"] = "true"
    return await parts.in_thread(_detail, parts, accepted.checkpoint.id)


@router.get("/checkpoints", summary="List checkpoints", responses=answers(page_of(CHECKPOINT), Unavailable))
def show_checkpoints(
    parts: ServiceParts,
    limit: Limit,
    filters: Annotated[Filters, Depends(read_filters)],
    shown: Annotated[Selection[CheckpointView], Depends(selection_of(CheckpointView))],
    cursor: Cursor = None,
) -> Page[CheckpointView | Selected]:
    """Checkpoints that are not deleted and match all filters, the newest first."""
    with parts.database.read() as session:
        rows = list_checkpoints(session, limit=limit + 1, before=cursor, filters=filters)
        views = view_checkpoints(session, rows[:limit])
    return shown.of_page(Page(views, views[-1].id if len(rows) > limit else None))


@router.get(
    "/checkpoints/{checkpoint_id}",
    summary="Show a checkpoint",
    responses=answers(CHECKPOINT_DETAIL, NotFound, Unavailable),
)
def show_checkpoint(parts: ServiceParts, checkpoint_id: CheckpointId) -> CheckpointDetail:
    """One checkpoint by id or alias, with everything that is in its file."""
    return _detail(parts, checkpoint_id)


@router.patch(
    "/checkpoints/{checkpoint_id}",
    summary="Rename, tag and alias a checkpoint",
    responses=answers(CHECKPOINT_DETAIL, NotFound, LimitExceeded, Unavailable),
)
def label(
    parts: ServiceParts,
    asked_by: AskedBy,
    checkpoint_id: CheckpointId,
    labels: Annotated[
        CheckpointLabels,
        Body(examples=[{"tags": ["baseline", "daily"], "aliases": ["live"]}]),
    ],
) -> CheckpointDetail:
    """Replace name, tags or aliases; what is left out stays. An alias moves here from where it pointed."""
    row = label_checkpoint(parts.database, checkpoint_id, **asdict(labels), caller=asked_by)
    return _detail(parts, row.id)


@router.delete(
    "/checkpoints/{checkpoint_id}",
    status_code=204,
    summary="Delete a checkpoint",
    responses=responses(NotFound, Unavailable),
)
def delete_checkpoint(parts: ServiceParts, asked_by: AskedBy, checkpoint_id: CheckpointId) -> None:
    """Forget a checkpoint and free its aliases; its bytes go once no other checkpoint needs them."""
    discard_checkpoint(parts.database, parts.storage, checkpoint_id, asked_by)


def shown_name(file: UploadFile) -> str:
    """The last part of the name that came with a file, to be shown and never to be opened."""
    last = PurePosixPath((file.filename or "").replace("\\", "/")).name
    return "".join(letter for letter in last if letter.isprintable())[:200] or "checkpoint"


def _detail(parts: Parts, checkpoint_id: str) -> CheckpointDetail:
    with parts.database.read() as session:
        return detail_checkpoint(session, find_checkpoint(session, checkpoint_id))
