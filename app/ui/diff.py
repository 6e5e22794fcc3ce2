"""/ui/diff: two checkpoints side by side, what differs first; how far their weights lie apart, on request."""

import asyncio
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response
from starlette.responses import RedirectResponse

from app.client import calls
from app.ui.rendering import answer_page, wants_fragment
from app.ui.route import PageRoute
from app.ui.service import PageClient, Service

router = APIRouter(route_class=PageRoute, include_in_schema=False)

OFFERED = 100
"""Newest checkpoints that the form suggests."""


@router.get("/ui/diff")
async def show_diff(
    request: Request, service: Service, a: str = "", b: str = "", weights: str = ""
) -> Response:
    """The form and, of two checkpoints that are named, all that differs; `weights` is a comparison's id."""
    named: dict[str, Any] = {"a": a.strip(), "b": b.strip()}
    if weights and wants_fragment(request):
        asked = await service.ask(calls.weights_diff(weights))
        return answer_page(request, "diff.html", fragment="weights", weights=asked, **named)
    context: dict[str, Any] = {"diff": None, "left": None, "right": None, "weights": None, **named}
    if all(named.values()):
        context |= await _compare(service, named["a"], named["b"], weights)
    offered = (await service.ask(calls.checkpoints({"limit": OFFERED})))["items"]
    return answer_page(request, "diff.html", offered=offered, **context)


@router.post("/ui/diff/weights")
async def compare_weights(
    service: Service, a: Annotated[str, Form()] = "", b: Annotated[str, Form()] = ""
) -> Response:
    """Ask a worker how far the weights lie apart, and show how that stands."""
    asked = await service.ask(calls.begin_weights_diff(a, b))
    query = urlencode({"a": a, "b": b, "weights": asked["id"]})
    return RedirectResponse(f"/ui/diff?{query}#weights", 303)


async def _compare(service: PageClient, a: str, b: str, weights: str) -> dict[str, Any]:
    """What the API says of two checkpoints, and of the comparison of their weights where there is one."""
    left, right, diff = await asyncio.gather(service.checkpoint(a), service.checkpoint(b), service.diff(a, b))
    compared: dict[str, Any] = {"left": left, "right": right, "diff": diff}
    if weights:
        compared["weights"] = await service.ask(calls.weights_diff(weights))
    return compared
