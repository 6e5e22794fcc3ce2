"""GET /metrics: the service's own measurements, as Prometheus reads them."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.api.dependencies import ServiceParts
from app.api.operation import Operation
from app.api.problems import responses

router = APIRouter(tags=["service"], route_class=Operation)

EXAMPLE = 'caliper_jobs{state="running",tier="high"} 1.0\ncaliper_queue_length{tier="high"} 0.0\n'


@router.get(
    "/metrics",
    summary="Measurements for Prometheus",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": EXAMPLE}}},
        **responses(),
    },
)
def show_measurements(parts: ServiceParts) -> Response:
    """Requests by route; jobs, queues, workers and their proofs by tier; attempts, loops, storage; which parts answer.

    Several API processes are scraped each for itself: docs/operations.md says what to add up and what not.
    """
    content = generate_latest(parts.measurements.registry)
    return Response(content, media_type=CONTENT_TYPE_LATEST)
