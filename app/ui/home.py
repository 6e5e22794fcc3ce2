"""/ui: what is going on, and the way to everything else."""

from fastapi import APIRouter, Request, Response

from app.client import calls
from app.ui.rendering import answer_page
from app.ui.route import PageRoute
from app.ui.service import Service

router = APIRouter(route_class=PageRoute, include_in_schema=False)

SHOWN = 8
"""Newest jobs and checkpoints that are listed."""


@router.get("/ui")
async def show_home(request: Request, service: Service) -> Response:
    """The newest jobs and checkpoints, the datasets, who works."""
    limit = {"limit": SHOWN}
    return answer_page(
        request,
        "home.html",
        jobs=(await service.ask(calls.jobs(limit)))["items"],
        checkpoints=(await service.ask(calls.checkpoints(limit)))["items"],
        datasets=(await service.ask(calls.datasets(limit)))["items"],
        workers=await service.workers(),
    )
