"""Puts the pages on the app: /ui and below; / leads browsers there."""

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.client import ServiceError
from app.ui import (
    checkpoints,
    dataset,
    datasets,
    diff,
    estimate,
    home,
    inspection,
    job,
    job_form,
    jobs,
    queue,
    sign_in,
)
from app.ui.assets import PREFIX, serve_asset
from app.ui.route import PageRoute

ROUTERS = (
    home.router,
    estimate.router,
    inspection.router,
    checkpoints.router,
    diff.router,
    jobs.router,
    job_form.router,  # before job: `new` must not be taken for an id
    job.router,
    datasets.router,
    datasets.uploads,
    dataset.router,
    queue.router,
    sign_in.router,
)
"""The pages; one router per noun."""

last = APIRouter(route_class=PageRoute, include_in_schema=False)


def install_pages(app: FastAPI) -> None:
    """Add pages, static files, and the way to them."""
    app.add_route(f"{PREFIX}/{{digest}}/{{name:path}}", serve_asset, include_in_schema=False)
    for router in (*ROUTERS, last):
        app.include_router(router)
    app.add_route("/", lead_to_pages, include_in_schema=False)


async def lead_to_pages(request: Request) -> Response:
    """Browsers are sent to the pages; whatever else asks learns that there is nothing here."""
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/ui", 303, {"Vary": "Accept"})
    raise HTTPException(404)


@last.get("/ui/{path:path}")
async def say_not_found(path: str) -> Response:
    """No page has this address."""
    raise ServiceError(
        f"there is no page /ui/{path}", status=404, code="not_found", hint="the links above lead to all pages"
    )
