"""What has happened to a job since a given event, and how the event stream says it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.sse import format_sse_event

from app.jobs.lifecycle import ENDED
from app.registry.database import Database
from app.registry.events import events_after
from app.registry.jobs import read_pulse
from app.registry.tables import Event

BATCH = 500
"""Events read at once."""


@dataclass(frozen=True, slots=True)
class News:
    """Events not yet seen, and whether the job has ended with them."""

    events: Sequence[Event]
    ended: bool


def read_news(database: Database, job_id: str, seen: int) -> News:
    """The events above `seen`; ended where the job is and these are its last. Raises NotFound."""
    with database.read() as session:
        pulse = read_pulse(session, job_id)
        events = events_after(session, job_id, seen, BATCH) if pulse.last_event > seen else ()
    last = events[-1].seq if events else seen
    return News(events, ended=pulse.state in ENDED and last >= pulse.last_event)


def format_event(event: Event) -> bytes:
    """One server-sent event."""
    return format_sse_event(event=event.kind, id=str(event.seq), data_str=json.dumps(event_data(event)))


def event_data(event: Event) -> dict[str, Any]:
    """What an event says, with its attempt and time."""
    return {"attempt": event.attempt, "at": event.created_at.isoformat(), **event.data}
