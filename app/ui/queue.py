"""/ui/queue: which workers there are, what they run, what waits and why."""

from fastapi import APIRouter, Request, Response

from app.ui.rendering import answer_page
from app.ui.route import PageRoute
from app.ui.service import Service

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/ui/queue")
async def show_queue(request: Request, service: Service) -> Response:
    """Every tier that has a worker or a job, then the workers; renewed as it goes on."""
    state = await service.queue()
    busy = [tier for tier in state["tiers"] if tier["workers"] or tier["running"] or tier["waiting_count"]]
    return answer_page(
        request,
        "queue.html",
        fragment="state",
        broker=state["broker"],
        busy=busy,
        idle=[tier["tier"] for tier in state["tiers"] if tier not in busy],
        workers=await service.workers(),
        cards={tier["name"]: tier["cards"] for tier in await service.tiers()},
    )
