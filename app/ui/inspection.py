"""/ui/inspect: drop a file and read what is in it; nothing is kept unless that is asked for."""

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from app.ui.architecture import draw_architecture
from app.ui.rendering import answer_page
from app.ui.route import UploadRoute
from app.ui.service import Service

router = APIRouter(route_class=UploadRoute, include_in_schema=False)


@router.get("/ui/inspect")
async def ask_for_file(request: Request) -> Response:
    """The form that takes a file."""
    return answer_page(request, "inspect.html", report=None, drawing=None)


@router.post("/ui/inspect")
async def inspect_file(request: Request, service: Service) -> Response:
    """What is in the file that came with the form; the file itself is passed on and forgotten."""
    report = await service.forward_form("/checkpoints/inspect", request)
    drawing = draw_architecture(report)
    return answer_page(request, "inspect.html", fragment="report", report=report, drawing=drawing)


@router.post("/ui/checkpoints")
async def store_file(request: Request, service: Service) -> Response:
    """Keep the file that came with the form, and show its checkpoint."""
    stored = await service.forward_form("/checkpoints", request)
    address = f"/ui/checkpoints/{stored['id']}"
    if request.headers.get("hx-request") == "true":
        return Response(status_code=204, headers={"HX-Redirect": address})
    return RedirectResponse(address, 303)
