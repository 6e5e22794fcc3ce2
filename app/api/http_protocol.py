"""What comes over a connection before there is a request: bounded in bytes, headers and time.

uvicorn's httptools protocol bounds none of them: one connection could fill the memory with a header that never ends,
a thousand could wait for ever. What an operation sees is bounded there instead (uploads.py). To be used as
`uvicorn --http app.api.http_protocol:GuardedProtocol`.
"""

import json
from asyncio import TimerHandle, Transport
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.api.problems import MEDIA_TYPE, framework_problem


@dataclass(frozen=True, slots=True)
class WireLimits:
    """Bounds of what is read before an operation is chosen, and after it has answered."""

    header_bytes: int = 64 << 10
    """Most bytes of a request line with its headers, of a chunk's line, of trailers."""
    headers: int = 100
    """Most headers, or trailers, of a request."""
    header_seconds: float = 30.0
    """Longest time until the headers have arrived: from the connection on, later from their first byte."""
    linger_seconds: float = 30.0
    """How long the rest of a body is taken and dropped after its answer, so that the client comes to read that."""


class TooMuch(Exception):
    """A limit is passed; the parser makes its own error of it."""


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits, and with problem documents for what is no request."""

    limits: ClassVar[WireLimits] = WireLimits()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._between = True  # two requests, or before the first
        self._unread = self._bytes = self._count = 0
        self._timer: TimerHandle | None = None
        self._refusal: tuple[HTTPStatus, str] | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait(self.limits.header_seconds, self._give_up_waiting)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; refuse bytes of which no request, header or body ever comes."""
        if self.transport.is_closing():
            return
        if self._between and self._timer is None:
            self._wait(self.limits.header_seconds, self._give_up_waiting)
        self._unread += len(data)
        super().data_received(data)
        if self._unread > self.limits.header_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, self._too_long)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._bytes = self._count = 0

    def on_url(self, url: bytes) -> None:
        """A part of the request line."""
        self._take(len(url), HTTPStatus.REQUEST_URI_TOO_LONG)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; trailers are dropped, for no operation reads them."""
        self._count += 1
        self._take(len(name) + len(value), HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if self._between:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The request is known."""
        self._between = False
        self._unread = self._bytes = self._count = 0
        self._wait_no_longer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request has come."""
        self._between = True
        self._unread = 0
        self._wait_no_longer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is sent; the rest of a body that still comes is dropped, for a while."""
        super().on_response_complete()
        if self.cycle.more_body and not self.transport.is_closing():
            self._wait(self.limits.linger_seconds, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request with a problem document, and close."""
        if not self._is_answering() and not self.transport.is_closing():
            status, detail = self._refusal or (HTTPStatus.BAD_REQUEST, msg)
            content = json.dumps(framework_problem(status, detail)).encode()
            own = ((b"content-type", MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(content)))
            headers = [*self.server_state.default_headers, *own, (b"connection", b"close")]
            head = b"".join(b"%s: %s\r\n" % header for header in headers)
            self.transport.write(STATUS_LINE[status] + head + b"\r\n" + content)
        self.transport.close()

    @property
    def _too_long(self) -> str:
        return f"the request's head has more than {self.limits.header_bytes:,} bytes"

    def _take(self, size: int, status: HTTPStatus) -> None:
        """Count a part of the head; raises TooMuch, of which the parser makes a refusal."""
        self._bytes += size
        if self._bytes > self.limits.header_bytes:
            self._refusal = (status, self._too_long)
            raise TooMuch
        if self._count > self.limits.headers:
            many = f"the request has more than {self.limits.headers:,} headers"
            self._refusal = (HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, many)
            raise TooMuch

    def _give_up_waiting(self) -> None:
        if self._is_busy():  # a line break after the request before: its answer is still being made
            self._wait(self.limits.header_seconds, self._give_up_waiting)
        elif self._unread:
            late = f"the request's head did not arrive within {self.limits.header_seconds:g} s"
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, late)
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        self._refusal = (status, detail)
        self.send_400_response(detail)

    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _is_answering(self) -> bool:
        """Whether another request's answer is on its way: nothing may be mixed into it."""
        return self._is_busy() and self.cycle.response_started

    def _wait(self, seconds: float, action: Callable[[], None]) -> None:
        self._wait_no_longer()
        self._timer = self.loop.call_later(seconds, action)

    def _wait_no_longer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
