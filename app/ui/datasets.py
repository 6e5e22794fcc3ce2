"""/ui/datasets: the bars that can be trained on, and the form that checks a file of bars or uploads it."""

import base64
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from app.client import ServiceError, calls
from app.client.answers import DatasetCheck
from app.market.calendars import CALENDARS
from app.ui.rendering import answer_page, wants_fragment
from app.ui.route import PageRoute, UploadRoute
from app.ui.service import PageClient, Service
from app.ui.spec_fields import read_body_fields

router = APIRouter(route_class=PageRoute, include_in_schema=False)
uploads = APIRouter(route_class=UploadRoute, include_in_schema=False)

PATH = "/datasets"
TEMPLATE = "datasets.html"
SHOWN = 50
"""Datasets on a page."""


@router.get("/ui/datasets")
async def show_datasets(request: Request, service: Service) -> Response:
    """The list and the form."""
    return await _show(request, service)


@uploads.post("/ui/datasets")
async def upload_dataset(request: Request, service: Service) -> Response:
    """Keep the bars that came with the form, and show their dataset."""
    try:
        stored = await service.forward_form(PATH, request)
    except ServiceError as error:
        return await _show(request, service, error=error)
    address = f"/ui/datasets/{stored['id']}"
    if wants_fragment(request):
        return Response(status_code=204, headers={"HX-Redirect": address})
    return RedirectResponse(address, 303)


@uploads.post("/ui/datasets/check")
async def check_dataset(request: Request, service: Service) -> Response:
    """What the service would say to the bars that came with the form; they are passed on and forgotten."""
    try:
        check: DatasetCheck = await service.forward_form(f"{PATH}/check", request)
    except ServiceError as error:
        return await _show(request, service, error=error)
    return await _show(request, service, check=check)


async def _show(
    request: Request,
    service: PageClient,
    *,
    check: DatasetCheck | None = None,
    error: ServiceError | None = None,
) -> Response:
    """The page, or what became of the file where HTMX asks."""
    context: dict[str, Any] = {"check": check, "error": error, "chart": _inline(check) if check else ""}
    fields = await read_body_fields(request, service, PATH)
    context |= {"fields": fields, "wrong": _wrong(error)}
    if not wants_fragment(request):
        cursor = request.query_params.get("cursor") or None
        page = await service.ask(calls.datasets({"limit": SHOWN}, cursor))
        older = f"/ui/datasets?cursor={page['next_cursor']}" if page["next_cursor"] else ""
        context |= {"datasets": page["items"], "older": older, "calendars": tuple(CALENDARS)}
    status = 200 if error is None or wants_fragment(request) else error.status or 502
    return answer_page(request, TEMPLATE, fragment="outcome", status=status, **context)


def _inline(check: DatasetCheck) -> str:
    """The chart as an address of its own: within the page its style would not be allowed."""
    return f"data:image/svg+xml;base64,{base64.b64encode(check['chart_svg'].encode()).decode()}"


def _wrong(error: ServiceError | None) -> dict[str, str]:
    """Field -> what is wrong with it."""
    if error is None:
        return {}
    breaches = error.extra.get("errors") or [{"pointer": error.pointer, "detail": error.detail}]
    return {breach["pointer"]: breach["detail"] for breach in breaches if breach.get("pointer")}
