"""What happens to a job, live: GET /jobs/{id}/events, and its log as text."""

import json
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import anyio
import structlog
from anyio import fail_after, move_on_after
from fastapi import APIRouter, Header, Query, Response
from fastapi.sse import format_sse_event
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from app.api.dependencies import JobId, ServiceParts
from app.api.job_feed import JobFeed, JobFeeds
from app.api.job_news import BATCH, News, format_event
from app.api.operation import Operation
from app.api.problems import responses
from app.errors import NotFound, Unavailable
from app.registry.database import Database
from app.registry.events import events_after
from app.registry.jobs import get_job
from app.registry.tables import Event

router = APIRouter(tags=["jobs"], route_class=Operation)

HEARTBEAT_SECONDS = 15.0
"""Longest silence; proxies close a stream that says nothing."""
STALLED_SECONDS = 60.0
"""How long a follower may leave what it was sent unread before its place is given to another."""
LOGGED = ("log", "state")
"""Kinds of events that make the log."""
MOST_TAIL = 10_000
"""Most lines of a log's end that may be asked for."""
HEARTBEAT = format_sse_event(comment="still here")
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
STREAM: dict[str, Any] = {
    "schema": {
        "type": "object",
        "description": "One event of the stream.",
        "properties": {
            "event": {"type": "string", "description": "Its kind."},
            "id": {"type": "string", "pattern": "^[0-9]+$", "description": "Its number."},
            "data": {"type": "string", "description": "What it says, as JSON: `attempt`, `at` and more."},
        },
        "required": ["data"],
    },
    "example": EXAMPLE,
}
LOG_EXAMPLE = '2026-11-23T09:00:02Z  attempt 1  state running (worker="caliper@gpu-1")\n'

log = structlog.get_logger()


class EventStream(StreamingResponse):
    """A job's events as they come; holds one of the places for followers while it is sent."""

    def __init__(self, feeds: JobFeeds, job_id: str, seen: int, first: News) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__((), headers=headers, media_type="text/event-stream")
        self._feeds, self._job_id, self._seen, self._first = feeds, job_id, seen, first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what is known and then the news; raises Unavailable before anything is sent where it is full."""
        newest = self._first.events[-1].seq if self._first.events else self._seen
        with self._feeds.follow(self._job_id, newest) as feed:
            self.body_iterator = stream_news(self._feeds, feed, newest, self._first)
            await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        """As every stream, but a client that reads nothing for STALLED_SECONDS is let go."""

        async def send_in_time(message: Message) -> None:
            with fail_after(STALLED_SECONDS):
                await send(message)

        try:
            await super().stream_response(send_in_time)
        except TimeoutError:
            log.info("a follower no longer reads", job_id=self._job_id)


@router.get(
    "/jobs/{job_id}/events",
    summary="Follow a job",
    response_class=StreamingResponse,
    responses={
        200: {"description": "The events.", "content": {"text/event-stream": STREAM}},
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
    parts.feeds.require_room()
    seen = max(after or 0, last_event_id or 0)
    news = await parts.feeds.read(job_id, seen)
    if news.ended and not news.events:
        return Response(status_code=204)
    return EventStream(parts.feeds, job_id, seen, news)


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


async def stream_news(feeds: JobFeeds, feed: JobFeed, seen: int, first: News) -> AsyncIterator[bytes]:
    """The stream's bytes: what was read at first, which ends with `seen`, and from then on what the feed tells."""
    yield format_sse_event(retry=RETRY_MILLISECONDS) + b"".join(map(format_event, first.events))
    ended = first.ended
    while not ended:
        changed, ended = feed.changed, feed.ended
        told = await feeds.after(feed, seen)
        if told:
            seen, ended = told[-1].seq, False  # there may be more
            yield b"".join(each.text for each in told)
        elif not ended and not await _comes_in_time(changed):
            yield HEARTBEAT


async def _comes_in_time(news: anyio.Event) -> bool:
    with move_on_after(HEARTBEAT_SECONDS):
        await news.wait()
    return news.is_set()


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
