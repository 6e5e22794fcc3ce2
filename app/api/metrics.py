"""GET /metrics: the service's own measurements, as Prometheus reads them."""

from collections.abc import Iterator

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.api.dependencies import Parts, ServiceParts
from app.api.operation import Operation
from app.api.problems import responses
from app.errors import Unavailable
from app.jobs.lifecycle import State
from app.network.tiers import TIERS
from app.registry.jobs import count_by_state
from app.registry.workers import live_workers

router = APIRouter(tags=["service"], route_class=Operation)

EXAMPLE = 'caliper_jobs{state="running"} 1.0\ncaliper_queue_length{tier="high"} 0.0\n'


class ServiceState(Collector):
    """Jobs, queues and workers, asked of registry and broker at each scrape; what does not answer is left out."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """All families, with 0 and 1 for whether each part answered."""
        up = GaugeMetricFamily("caliper_up", "Whether a part of the service answers.", labels=("part",))
        for part, families in (("database", self._registry_families), ("redis", self._queue_families)):
            try:
                found = list(families())
            except Unavailable:
                up.add_metric((part,), 0)
            else:
                up.add_metric((part,), 1)
                yield from found
        yield up

    def _registry_families(self) -> Iterator[Metric]:
        with self._parts.database.read() as session:
            counts = count_by_state(session)
            workers = live_workers(session, self._parts.settings.lease_seconds)
        jobs = GaugeMetricFamily("caliper_jobs", "Jobs by state.", labels=("state",))
        for state in State:
            jobs.add_metric((str(state),), counts.get(str(state), 0))
        live = GaugeMetricFamily("caliper_workers", "Workers that consume, by tier.", labels=("tier",))
        for tier in TIERS:
            live.add_metric((tier,), sum(worker.tier == tier for worker in workers))
        yield from (jobs, live)

    def _queue_families(self) -> Iterator[Metric]:
        lengths = GaugeMetricFamily("caliper_queue_length", "Messages that wait, by tier.", labels=("tier",))
        for tier in TIERS:
            lengths.add_metric((tier,), self._parts.queue.length(self._parts.settings.queue_name(tier)))
        yield lengths


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
    """Requests by route, jobs by state, queue lengths and live workers by tier; which parts answer."""
    content = generate_latest(parts.measurements.registry)
    return Response(content, media_type=CONTENT_TYPE_LATEST)
