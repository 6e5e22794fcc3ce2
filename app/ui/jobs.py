"""/ui/jobs: the jobs, the newest first, with live state and progress; filtered by what is in the address."""

from collections.abc import Mapping
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from app.client import ServiceError, calls
from app.client.answers import JobView, Page
from app.ui.rendering import answer_page, wants_fragment
from app.ui.route import PageRoute
from app.ui.service import Service

router = APIRouter(route_class=PageRoute, include_in_schema=False)

STATES = ("queued", "running", "succeeded", "failed", "cancelled")
FILTERS = (
    *("state", "dataset", "name", "tier", "priority", "hidden_dims", "obs_dim"),
    *("metric", "metric_min", "metric_max"),
)
"""Filters of GET /jobs that the form has."""
LIVE = frozenset({"queued", "running"})
SHOWN = 50
"""Jobs on a page."""
EMPTY: Page[JobView] = {"items": [], "next_cursor": None}


@router.get("/ui/jobs")
async def show_jobs(request: Request, service: Service) -> Response:
    """The list; of HTMX's requests only its rows."""
    given = {name: request.query_params.get(name, "").strip() for name in FILTERS}
    given["hidden_dims"] = given["hidden_dims"].replace(" ", "")
    wanted = {name: value for name, value in given.items() if value}
    cursor = request.query_params.get("cursor") or None
    error, page = None, EMPTY
    try:
        page = await service.ask(calls.jobs({**wanted, "limit": SHOWN}, cursor))
    except ServiceError as refused:
        error = refused
    return answer_page(
        request,
        "jobs.html",
        fragment="rows",
        status=error.status if error and not wants_fragment(request) else 200,
        error=error,
        jobs=page["items"],
        older=_link({**wanted, "cursor": page["next_cursor"]}) if page["next_cursor"] else "",
        here=_link({**wanted, "cursor": cursor} if cursor else wanted),
        given=given,
        states=STATES,
        is_live=not error and (cursor is None or any(job["state"] in LIVE for job in page["items"])),
        datasets=(await service.ask(calls.datasets({"limit": 200})))["items"],
    )


def _link(query: Mapping[str, str]) -> str:
    return f"/ui/jobs?{urlencode(query, safe=',')}" if query else "/ui/jobs"
