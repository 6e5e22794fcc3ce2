"""A job's event stream: server-sent events, read line by line without any input or output of its own.

Format: WHATWG HTML, section 9.2 (fields data, event, id, retry; an empty line ends an event; a line that
starts with a colon is a comment, which the service sends to keep the connection open).
"""

import json
from dataclasses import dataclass
from typing import Any

ENDED_STATES = frozenset({"succeeded", "failed", "cancelled"})
"""States of a job after which nothing more happens to it, unless it is resumed."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job."""

    id: int
    """Its number; events count from 1 without holes."""
    kind: str
    """`state`, `progress`, `checkpoint`, …"""
    data: dict[str, Any]
    """What it says."""

    @property
    def ends_job(self) -> bool:
        """Whether the job ended with this event."""
        return self.kind == "state" and self.data.get("state") in ENDED_STATES


class EventReader:
    """Turns the lines of a stream into events; remembers what a reconnect must name.

    `last_id` is the last event's number, `lines` counts all that was heard, comments included.
    """

    def __init__(self, after: int = 0) -> None:
        self.last_id = after
        self.lines = 0
        self.retry_seconds: float | None = None
        self._fields: dict[str, str] = {}
        self._data: list[str] = []

    def feed(self, line: str) -> Event | None:
        """Take one line without its end; the event that it completes, if any."""
        self.lines += 1
        if not line:
            return self._finish()
        if not line.startswith(":"):
            name, _, value = line.partition(":")
            self._take(name, value.removeprefix(" "))
        return None

    def restart(self) -> None:
        """Forget a half-read event, because the connection broke within it."""
        self._fields, self._data = {}, []

    def _take(self, name: str, value: str) -> None:
        if name == "data":
            self._data.append(value)
        elif name == "retry" and value.isdigit():
            self.retry_seconds = int(value) / 1000
        elif name in {"event", "id"}:
            self._fields[name] = value

    def _finish(self) -> Event | None:
        fields, data = self._fields, self._data
        self.restart()
        if not data:
            return None
        value = json.loads("\n".join(data))
        number = int(fields["id"]) if fields.get("id", "").isdigit() else self.last_id
        self.last_id = max(self.last_id, number)
        return Event(
            number, fields.get("event", "message"), value if isinstance(value, dict) else {"value": value}
        )
