"""The /keys operations, GET /audit: who may ask the service, and who changed what."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query

from app.actions.make_key import KeyWish, create_key
from app.actions.revoke_key import revoke_key
from app.api.dependencies import PRINTABLE, AskedBy, Cursor, Limit, ServiceParts
from app.api.examples import EARLIER, LATER, answers, page_of
from app.api.key_view import AuditView, KeyRequest, KeyUse, KeyView, NewKeyView, limits_of, view_key
from app.api.operation import Operation
from app.api.page import Page, make_page
from app.api.problems import responses
from app.api.rows import view_row
from app.api.selection import Selected, Selection, selection_of
from app.errors import LimitExceeded, NotFound, Unavailable
from app.registry.audit import list_entries
from app.registry.keys import get_key, list_keys
from app.registry.tables import AuditEntry, utc_now
from app.registry.usage import count_hours, count_open_jobs, count_stored_bytes

router = APIRouter(tags=["keys"], route_class=Operation)

KeyId = Annotated[str, Path(max_length=200, pattern=PRINTABLE, description="Id of the key, or its prefix.")]
WISH = {"name": "anna, laptop", "role": "trainer", "days": 365, "max_open_jobs": 10}
KEY: dict[str, Any] = {
    "id": "key_019ab3c2d1e04f6a7b8c9d",
    "name": "anna, laptop",
    "prefix": "caliper_3f9a2b1c04",
    "role": "trainer",
    "is_valid": True,
    "max_open_jobs": 10,
    "max_upload_bytes": 107_374_182_400,
    "max_gpu_hours": 1000.0,
    "created_by": None,
    "created_at": EARLIER,
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": LATER,
}
USE = {**KEY, "open_jobs": 2, "upload_bytes": 163_726_848, "gpu_hours": 41.5}
ENTRY: dict[str, Any] = {
    "id": "audit_019ab3c2d1e04f6a7b8c9d",
    "at": LATER,
    "key_id": KEY["id"],
    "address": "192.0.2.7",
    "method": "POST",
    "route": "/jobs/{job_id}/cancel",
    "action": "Cancel a job",
    "target": "job_019ab3c2d1e04f6a7b8c9d",
    "status": 200,
    "outcome": "done",
    "request_id": "7f8a54cf0e1a4a3f9d1f3d1f2f0e9a11",
    "skipped": 0,
}


@router.post(
    "/keys",
    status_code=201,
    summary="Make an API key",
    responses=answers({**KEY, "key": f"{KEY['prefix']}_…"}, LimitExceeded, Unavailable, status=201),
)
def make_key(
    parts: ServiceParts, asked_by: AskedBy, request: Annotated[KeyRequest, Body(examples=[WISH])]
) -> NewKeyView:
    """A key for somebody; it is in this answer, and nowhere afterwards: the service keeps only its hash."""
    wish = KeyWish(
        name=request.name,
        role=request.role,
        days=request.days,
        max_open_jobs=request.max_open_jobs,
        max_upload_bytes=request.max_upload_bytes,
        max_gpu_hours=request.max_gpu_hours,
    )
    made = create_key(parts.database, wish, asked_by)
    return view_row(made.row, NewKeyView, key=made.secret, **limits_of(made.row, parts.settings))


@router.get("/keys", summary="List API keys", responses=answers(page_of(KEY), Unavailable))
def show_keys(
    parts: ServiceParts,
    limit: Limit,
    shown: Annotated[Selection[KeyView], Depends(selection_of(KeyView))],
    cursor: Cursor = None,
) -> Page[KeyView | Selected]:
    """All keys, the newest first, revoked ones too; none of them with what only its holder knows."""
    with parts.database.read() as session:
        rows = list_keys(session, limit=limit + 1, before=cursor)
    return shown.of_page(make_page(rows, limit, lambda row: view_key(row, parts.settings)))


@router.get("/keys/self", summary="Show the key that asks", responses=answers(USE, NotFound, Unavailable))
def show_own_key(parts: ServiceParts, asked_by: AskedBy) -> KeyUse:
    """Role and limits of the key that the request carries, and what it has used of them."""
    if asked_by.key_id is None:
        raise NotFound("the request carries no API key, for keys are off", hint="CALIPER_REQUIRE_KEYS=true")
    since = utc_now() - timedelta(days=parts.settings.key_gpu_days)
    with parts.database.read() as session:
        row = get_key(session, asked_by.key_id)
        return view_row(
            row,
            KeyUse,
            **limits_of(row, parts.settings),
            open_jobs=count_open_jobs(session, row.id),
            upload_bytes=count_stored_bytes(session, row.id),
            gpu_hours=count_hours(session, row.id, since),
        )


@router.delete(
    "/keys/{key_id}",
    status_code=204,
    summary="Revoke an API key",
    responses=responses(NotFound, Unavailable),
)
async def delete_key(parts: ServiceParts, asked_by: AskedBy, key_id: KeyId) -> None:
    """Make a key invalid for good; its row stays, and so does what it made.

    Other API processes may take it for at most `CALIPER_KEY_CACHE_SECONDS` more.
    """
    await parts.in_thread(revoke_key, parts.database, key_id, asked_by)
    parts.gate.callers.forget()


@router.get("/audit", summary="List what was changed", responses=answers(page_of(ENTRY), Unavailable))
def show_audit(
    parts: ServiceParts,
    limit: Limit,
    shown: Annotated[Selection[AuditView], Depends(selection_of(AuditView))],
    cursor: Cursor = None,
    key: Annotated[
        str | None, Query(max_length=40, pattern=PRINTABLE, description="Only what this key did, by its id.")
    ] = None,
    target: Annotated[
        str | None, Query(max_length=200, pattern=PRINTABLE, description="Only what was done to this id.")
    ] = None,
) -> Page[AuditView | Selected]:
    """Requests that changed something, or were refused to, the newest first."""
    with parts.database.read() as session:
        rows = list_entries(session, limit=limit + 1, before=cursor, key_id=key, target=target)
    return shown.of_page(make_page(rows, limit, _view_entry))


def _view_entry(row: AuditEntry) -> AuditView:
    return view_row(row, AuditView)
