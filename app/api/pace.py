"""Bodies that do not come: a request whose body is too slow is given up, as if its connection had broken.

Whatever reads the body then does what it does for a broken connection, where what is registered and what has arrived
of an upload in parts stays. Only the time that is spent waiting for the client counts, not that in which the
service itself was busy with what had come.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from anyio import move_on_after
from starlette.types import Message, Receive

from app.errors import TooSlow
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a body must come."""

    rate: float
    """Fewest bytes a second, on average over `stall_seconds`."""
    stall_seconds: float
    """How long it may fall short of that."""
    most_seconds: float
    """Longest time for the whole of it."""


def pace_of(settings: Settings) -> Pace:
    """The pace that the settings ask for."""
    return Pace(settings.upload_min_rate, settings.upload_stall_seconds, settings.upload_max_seconds)


class PacedBody:
    """An ASGI `receive` that ends a body which is too slow; `failure` then says what was wrong with it.

    `receive` must bear to be cancelled and asked again, as a server's does.
    """

    def __init__(self, receive: Receive, pace: Pace, clock: Callable[[], float] = time.monotonic) -> None:
        self.failure: TooSlow | None = None
        self._receive = receive
        self._pace = pace
        self._clock = clock
        self._is_complete = False
        self._received = 0
        self._waited = 0.0
        self._since_bytes, self._since_waited = 0, 0.0

    async def __call__(self) -> Message:
        """The next message; `http.disconnect` for a body that was given up."""
        if self._is_complete:  # what comes now is the end of the connection, for which there is no hurry
            return await self._receive()
        while self.failure is None:
            message = await self._wait()
            if message is not None and self.failure is None:
                self._is_complete = message["type"] != "http.request" or not message.get("more_body", False)
                return message
        return {"type": "http.disconnect"}

    async def _wait(self) -> Message | None:
        """The next message; None where a span of time ended before it came."""
        started, message = self._clock(), None
        with move_on_after(max(0.0, self._span_left())):
            message = await self._receive()
        self._waited += self._clock() - started
        self._received += len(message.get("body", b"")) if message is not None else 0
        if message is None or self._span_left() <= 0:
            self._judge()
        return message

    def _span_left(self) -> float:
        span = self._since_waited + self._pace.stall_seconds - self._waited
        return min(span, self._pace.most_seconds - self._waited)

    def _judge(self) -> None:
        """Whether the span of time that has ended brought enough; then the next one begins."""
        spent, came = self._waited - self._since_waited, self._received - self._since_bytes
        if self._waited >= self._pace.most_seconds:
            self.failure = TooSlow(
                f"the body took longer than {self._pace.most_seconds:g} s",
                hint="send a large file in parts: POST /uploads",
            )
        elif came < self._pace.rate * spent:
            self.failure = TooSlow(
                f"{came:,} bytes came in {spent:.0f} s, fewer than {self._pace.rate:g} a second",
                hint="what arrived of an upload in parts is kept: HEAD /uploads/{id} says where to go on",
            )
        self._since_waited, self._since_bytes = self._waited, self._received
