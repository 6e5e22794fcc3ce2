"""/ui/jobs: the jobs, the newest first, with live state and progress; filtered by what is in the address."""

from collections.abc import Mapping
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from app.client import calls
from app.ui.rendering import answer_page
from app.ui.route import PageRoute
from app.ui.service import Service

router = APIRouter(route_class=PageRoute, include_in_schema=False)

STATES = ("queued", "running", "succeeded", "failed", "cancelled")
FILTERS = ("state", "dataset", "name")
LIVE = frozenset({"queued", "running"})
SHOWN = 50
"""Jobs on a page."""


@router.get("/ui/jobs")
async def show_jobs(request: Request, service: Service) -> Response:
    """The list; of HTMX's requests only its rows."""
    given = {name: request.query_params.get(name, "").strip() for name in FILTERS}
    wanted = {name: value for name, value in given.items() if value}
    cursor = request.query_params.get("cursor") or None
    page = await service.ask(calls.jobs({**wanted, "limit": SHOWN}, cursor))
    return answer_page(
        request,
        "jobs.html",
        fragment="rows",
        jobs=page["items"],
        older=_link({**wanted, "cursor": page["next_cursor"]}) if page["next_cursor"] else "",
        here=_link({**wanted, "cursor": cursor} if cursor else wanted),
        given=given,
        states=STATES,
        is_live=cursor is None or any(job["state"] in LIVE for job in page["items"]),
        datasets=(await service.ask(calls.datasets({"limit": 200})))["items"],
    )


def _link(query: Mapping[str, str]) -> str:
    return f"/ui/jobs?{urlencode(query)}" if query else "/ui/jobs"
