"""Each request has an id: its client's, or a new one. Answers, problems, log lines and the job it makes carry it."""

import re
import secrets
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.logs import bind_ids

HEADER = "X-Request-ID"
"""Where a client names its request, and where the answer says the name."""

WELL_FORMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
"""Ids that are taken over: nothing that could end a log line or a header, or fill either."""

ASKED_ALWAYS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that machines ask every few seconds; their successes are told at DEBUG alone."""

log = structlog.get_logger()


class NameRequests:
    """ASGI middleware: gives each request its id, and tells in one line how it was answered.

    The id stays bound after the answer: a server gives each request a context of its own, and what an unexpected
    error leaves behind is told outside of this middleware.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under its id."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = choose_id(Headers(scope=scope).get(HEADER))
        bind_ids(request_id=request_id)
        started, status = time.perf_counter(), 500

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        try:
            await self.app(scope, receive, send_named)
        finally:
            _tell(scope, status, time.perf_counter() - started)


def choose_id(given: str | None) -> str:
    """The client's id where it is well-formed, else a new one of 128 random bits."""
    return given if given is not None and WELL_FORMED.fullmatch(given) else secrets.token_hex(16)


def _tell(scope: Scope, status: int, seconds: float) -> None:
    """One line a request: without its query, which may hold what is nobody's business."""
    path: str = scope["path"]
    tell = log.debug if path in ASKED_ALWAYS and status < 400 else log.warning if status >= 500 else log.info
    tell("request", method=scope["method"], path=path, status=status, ms=round(seconds * 1000, 1))
