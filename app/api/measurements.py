"""What is noted of every request: counts and times by route, and the headers that every answer carries."""

import time
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.security_headers import add_security_headers
from app.errors import CaliperError, LimitExceeded, Unavailable, UnreadableCheckpoint

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
"""Upper bounds of the histogram of request times, in seconds."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_ROUTE = "(none)"

READ, UNREADABLE, REFUSED, ABANDONED, KILLED = "read", "unreadable", "refused", "abandoned", "killed"
"""How the reading of an upload ends: `abandoned` by its client, `killed` from outside or by a defect."""

WALLS = {
    "max_wall_seconds": "wall_time",
    "max_cpu_seconds": "cpu_time",
    "max_memory_bytes": "memory",
    "max_answer_bytes": "answer",
}
"""The child's limits, and how an end by each is called."""


class RequestMeasurements:
    """Counts and times of requests, by the route's template: ids in paths make no new series."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "caliper_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "caliper_request_seconds",
            "Time until the answer was sent.",
            ("method", "route"),
            buckets=BUCKETS,
            registry=self.registry,
        )

        self._reads = Counter(
            "caliper_uploads_read",
            "Uploads that were read, by how that ended.",
            ("outcome",),
            registry=self.registry,
        )
        self._read_seconds = Histogram(
            "caliper_upload_read_seconds",
            "Time that reading an upload took, with the wait for its turn.",
            buckets=BUCKETS,
            registry=self.registry,
        )
        for outcome in (READ, UNREADABLE, REFUSED, ABANDONED, *WALLS.values(), KILLED):
            self._reads.labels(outcome)
        ProcessCollector(registry=self.registry)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Count the reading of one upload, and what ended the child process that read it."""
        started, outcome = time.perf_counter(), KILLED
        try:
            yield
            outcome = READ
        except CancelledError:
            outcome = ABANDONED
            raise
        except LimitExceeded as error:
            outcome = WALLS.get(error.limit_name, REFUSED)
            raise
        except UnreadableCheckpoint:
            outcome = UNREADABLE
            raise
        except CaliperError as error:
            outcome = KILLED if isinstance(error, Unavailable) else REFUSED
            raise
        finally:
            self._reads.labels(outcome).inc()
            self._read_seconds.observe(time.perf_counter() - started)

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)


class Observe:
    """ASGI middleware: measures each request and sets the security headers that its answer lacks."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note how it went."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = headers = list(message["headers"])  # an answer that is kept has it too
                add_security_headers(headers)
            await send(message)

        try:
            await self.app(scope, receive, send_observed)
        finally:
            # Whoever sends unknown methods or paths must not be able to make new series.
            method = scope["method"] if scope["method"] in METHODS else "other"
            route = getattr(scope.get("route"), "path", NO_ROUTE)
            measurements: RequestMeasurements = scope["app"].state.parts.measurements
            measurements.note(method, route, status, time.perf_counter() - started)
