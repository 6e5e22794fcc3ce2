"""/ui/checkpoints: the list with its search, a checkpoint's page, its labels."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Form, Request, Response
from starlette.responses import RedirectResponse

from app.client import ServiceError, calls
from app.client.answers import CheckpointView, Page
from app.client.calls import Call
from app.ui.architecture import draw_architecture
from app.ui.rendering import answer_page, wants_fragment
from app.ui.route import PageRoute
from app.ui.service import Service

router = APIRouter(route_class=PageRoute, include_in_schema=False)

SEARCH = (
    "name",
    "hidden_dims",
    "obs_dim",
    "producer",
    "kind",
    "tag",
    "alias",
    "metric",
    "metric_min",
    "metric_max",
)
"""Filters of GET /checkpoints that the form has."""
KEPT = ("job", "sha256")
"""Filters that links of other pages set; the form keeps them."""
PAGE_SIZE = 50
NOT_MODIFIED = 304
EMPTY: Page[CheckpointView] = {"items": [], "next_cursor": None}


@router.get("/ui/checkpoints")
async def show_checkpoints(request: Request, service: Service) -> Response:
    """The newest checkpoints that match all that was searched for."""
    values = {name: request.query_params.get(name, "").strip() for name in (*SEARCH, *KEPT)}
    filters = {name: _tidy(name, value) for name, value in values.items() if value}
    error, page = None, EMPTY
    try:
        cursor = request.query_params.get("cursor") or None
        page = await service.ask(calls.checkpoints({**filters, "limit": PAGE_SIZE}, cursor))
    except ServiceError as refused:
        error = refused
    status = error.status if error and not wants_fragment(request) else 200
    answer = answer_page(
        request,
        "checkpoints.html",
        fragment="rows",
        status=status,
        values=values,
        filtered=bool(filters),
        error=error,
        page=page,
        next_url=_link({**filters, "cursor": page["next_cursor"]}) if page["next_cursor"] else "",
    )
    answer.headers["HX-Replace-Url"] = _link(filters)
    return answer


@router.get("/ui/checkpoints/{checkpoint_id}")
async def show_checkpoint(request: Request, service: Service, checkpoint_id: str) -> Response:
    """One checkpoint by id or alias, with everything that is in its file."""
    found = await service.checkpoint(checkpoint_id)
    report = found["report"]
    return answer_page(
        request,
        "checkpoint.html",
        checkpoint=found,
        report=report,
        drawing=draw_architecture(report) if report else None,
        exports=exports_of(report) if report else (),
    )


@router.get("/ui/checkpoints/{checkpoint_id}/export")
async def export_checkpoint(service: Service, checkpoint_id: str, request: Request) -> Response:
    """Lead to the bytes of an export, or say why there can be none."""
    wanted = {"format": request.query_params.get("format", "")}
    path = f"/checkpoints/{quote(checkpoint_id, safe='')}/export"
    # `*` stands for any tag: what can be exported is answered with 304, and nothing is sent.
    asked: Call[None] = Call(method="GET", path=path, params=wanted, headers={"If-None-Match": "*"})
    try:
        await service.ask(asked)
    except ServiceError as answer:
        if answer.status != NOT_MODIFIED:
            raise
    return RedirectResponse(f"{path}?{urlencode(wanted)}", 303)


@router.post("/ui/checkpoints/{checkpoint_id}/labels")
async def change_labels(
    service: Service,
    checkpoint_id: str,
    name: Annotated[str, Form()] = "",
    tags: Annotated[str, Form()] = "",
    aliases: Annotated[str, Form()] = "",
) -> Response:
    """Give a checkpoint this name, these tags and these aliases, and show it."""
    labels = {"name": name.strip() or None, "tags": _words(tags), "aliases": _words(aliases)}
    changed = await service.ask(calls.label_checkpoint(checkpoint_id, labels))
    return RedirectResponse(f"/ui/checkpoints/{quote(changed['id'], safe='')}", 303)


@router.post("/ui/checkpoints/{checkpoint_id}/delete")
async def delete_checkpoint(service: Service, checkpoint_id: str) -> Response:
    """Forget a checkpoint, and show those that are left."""
    await service.delete_checkpoint(checkpoint_id)
    return RedirectResponse("/ui/checkpoints", 303)


def exports_of(report: Mapping[str, Any]) -> tuple[str, ...]:
    """The formats of GET /checkpoints/{id}/export that may be had of such a file; the API has the last word."""
    if not report["complete"] or not report["format"].startswith("torch"):
        return ()
    return (
        ("onnx", "safetensors", "sb3", "torch")
        if report["producer"] == "caliper"
        else ("safetensors", "torch")
    )


def _tidy(name: str, value: str) -> str:
    """As people type widths: with blanks between them."""
    return value.replace(" ", "") if name == "hidden_dims" else value


def _words(text: str) -> list[str]:
    """What stands between commas."""
    return [word for part in text.split(",") if (word := part.strip())]


def _link(filters: Mapping[str, Any]) -> str:
    query = urlencode(filters, safe=",")
    return f"/ui/checkpoints?{query}" if query else "/ui/checkpoints"
