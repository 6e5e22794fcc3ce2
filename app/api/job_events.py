"""What happens to a job, live: GET /jobs/{id}/events, and its log as text."""

import json
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import anyio
import structlog
from anyio import to_thread
from fastapi import APIRouter, Header, Query, Response
from fastapi.sse import format_sse_event
from starlette.responses import PlainTextResponse, StreamingResponse

from app.api.dependencies import JobId, ServiceParts
from app.api.operation import Operation
from app.api.problems import responses
from app.errors import NotFound, Unavailable
from app.jobs.lifecycle import ENDED
from app.registry.database import Database
from app.registry.events import events_after
from app.registry.jobs import get_job
from app.registry.tables import Event

router = APIRouter(tags=["jobs"], route_class=Operation)

BATCH = 500
"""Events read at once."""
POLL_SECONDS = 0.5
"""Time between two looks for news."""
HEARTBEAT_SECONDS = 15.0
"""Longest silence; proxies close a stream that says nothing."""
LOGGED = ("log", "state")
"""Kinds of events that make the log."""
MOST_TAIL = 10_000
"""Most lines of a log's end that may be asked for."""
RETRY_MILLISECONDS = 2_000
"""When a client that lost the stream may come back."""

SEQUENCE_MAX = (1 << 63) - 1
Sequence64 = Annotated[
    int | None, Query(ge=0, le=SEQUENCE_MAX, description="Only events numbered above this.")
]
LastEventId = Annotated[
    int | None, Header(ge=0, le=SEQUENCE_MAX, description="The last event that was seen; sent by browsers.")
]
EXAMPLE = """retry: 2000

event: state
data: {"attempt": 1, "at": "2026-11-23T09:00:02+00:00", "state": "running", "worker": "caliper@gpu-1"}
id: 2

"""
LOG_EXAMPLE = '2026-11-23T09:00:02Z  attempt 1  state running (worker="caliper@gpu-1")\n'

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class News:
    """Events not yet seen, and whether the job has ended with them."""

    events: Sequence[Event]
    ended: bool


@router.get(
    "/jobs/{job_id}/events",
    summary="Follow a job",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}, "example": EXAMPLE}}},
        204: {"description": "The job has ended and there is nothing new: do not come back."},
        **responses(NotFound, Unavailable),
    },
)
async def follow_job(
    parts: ServiceParts, job_id: JobId, after: Sequence64 = None, last_event_id: LastEventId = None
) -> Response:
    """Server-sent events from number `after` + 1 (or after Last-Event-ID) until the job has ended.

    Kinds are `state`, `progress`, `checkpoint`, `log` and `cancel`; ids count without holes.
    """
    seen = max(after or 0, last_event_id or 0)
    news = await to_thread.run_sync(read_news, parts.database, job_id, seen)
    if news.ended and not news.events:
        return Response(status_code=204)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    stream = stream_news(parts.database, job_id, seen)
    return StreamingResponse(stream, headers=headers, media_type="text/event-stream")


@router.get(
    "/jobs/{job_id}/log",
    summary="Read a job's log",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": LOG_EXAMPLE}}},
        **responses(NotFound, Unavailable),
    },
)
def read_log(
    parts: ServiceParts,
    job_id: JobId,
    tail: Annotated[
        int | None, Query(ge=1, le=MOST_TAIL, description="Only so many lines, the newest.")
    ] = None,
) -> Response:
    """What the job's attempts said and how its state changed, one line each, as plain text."""
    with parts.database.read() as session:
        get_job(session, job_id)
    lines = log_lines(parts.database, job_id)
    if tail is not None:
        return PlainTextResponse("".join(deque(lines, tail)))
    return StreamingResponse(lines, media_type="text/plain")


async def stream_news(database: Database, job_id: str, seen: int) -> AsyncIterator[bytes]:
    """The stream's bytes; asks the registry in a thread, so that the loop never waits for it."""
    yield format_sse_event(retry=RETRY_MILLISECONDS)
    quiet = 0.0
    while True:
        try:
            news = await to_thread.run_sync(read_news, database, job_id, seen)
        except Unavailable as error:
            log.warning("the event stream waits for the registry", job_id=job_id, error=error.detail)
            news = News([], ended=False)
        for event in news.events:
            yield format_sse_event(
                event=event.kind, id=str(event.seq), data_str=json.dumps(event_data(event))
            )
            seen = event.seq
        if news.ended:
            return
        quiet = 0.0 if news.events else quiet + POLL_SECONDS
        if quiet >= HEARTBEAT_SECONDS:
            yield format_sse_event(comment="still here")
            quiet = 0.0
        if len(news.events) < BATCH:
            await anyio.sleep(POLL_SECONDS)


def read_news(database: Database, job_id: str, seen: int) -> News:
    """The events above `seen`; ended where the job is and these are its last. Raises NotFound."""
    with database.read() as session:
        job = get_job(session, job_id)
        events = events_after(session, job_id, seen, BATCH)
    last = events[-1].seq if events else seen
    return News(events, ended=job.state in ENDED and last >= job.last_event)


def event_data(event: Event) -> dict[str, Any]:
    """What an event says, with its attempt and time."""
    return {"attempt": event.attempt, "at": event.created_at.isoformat(), **event.data}


def log_lines(database: Database, job_id: str) -> Iterator[str]:
    """The log line by line, read in batches that keep memory flat."""
    seen = 0
    while True:
        with database.read() as session:
            events = events_after(session, job_id, seen, BATCH, LOGGED)
        if not events:
            return
        seen = events[-1].seq
        yield from (_line(event) for event in events)


def _line(event: Event) -> str:
    facts = dict(event.data)
    said = str(facts.pop("message", "")) if event.kind == "log" else f"state {facts.pop('state', '')}"
    about = ", ".join(
        f"{name}={json.dumps(value)}" for name, value in facts.items() if value not in (None, "")
    )
    text = said.replace("\r", "\\r").replace("\n", "\\n")
    return f"{event.created_at:%Y-%m-%dT%H:%M:%SZ}  attempt {event.attempt}  {text}{f' ({about})' if about else ''}\n"
