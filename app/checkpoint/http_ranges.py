"""A checkpoint behind HTTP, such as an object in a store: only the ranges that are asked for are fetched.

One connection, one GET with a Range header per request (RFC 9110, section 14), no redirects followed. The first
request brings the file's first bytes and its size. Servers without ranges are refused: they would send it all.
"""

import http.client
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from app.checkpoint.source import RangeReader
from app.errors import InvalidInput, NotFound, Unavailable, UnreadableCheckpoint

_HEAD = 512
_SECONDS = 20.0
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@contextmanager
def open_url(url: str, *, headers: dict[str, str] | None = None) -> Iterator[RangeReader]:
    """A reader of the file at an http or https URL, such as a presigned one; `headers` go with each request.

    Raises InvalidInput for another kind of URL, NotFound, Unavailable where the server does not answer, and
    UnreadableCheckpoint where it has no ranges or the file changes between two of them.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput("the URL is not of http or https", hint="https://…", pointer="url")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=_SECONDS)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    ranges = _Ranges(connection, target, dict(headers or {}))
    try:
        head = ranges.fetch(0, _HEAD)
        name = parts.path.rpartition("/")[2]
        yield RangeReader(ranges.size, ranges.fetch, name, head)
    finally:
        connection.close()


class _Ranges:
    """The requests of one reading; the file must stay the same throughout."""

    def __init__(self, connection: http.client.HTTPConnection, target: str, headers: dict[str, str]) -> None:
        self.size = 0
        self._connection = connection
        self._target = target
        self._headers = headers
        self._version: tuple[int, str | None] | None = None

    def fetch(self, offset: int, length: int) -> bytes:
        """The bytes of one range, fewer only at the end of the file."""
        answer = self._ask({**self._headers, "Range": f"bytes={offset}-{offset + length - 1}"})
        found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if answer.status == 416 and self._version is None:
            raise UnreadableCheckpoint("it is an empty file")
        if answer.status != 206 or found is None or int(found[1]) != offset:
            text = f"the server does not answer byte ranges (status {answer.status})"
            raise UnreadableCheckpoint(text, hint="download the file and inspect it here")
        self._check_version(int(found[3]), answer.headers.get("ETag"))
        data = self._take(answer, min(length, self.size - offset))
        if len(data) != int(found[2]) + 1 - offset:
            raise Unavailable("the server sent another number of bytes than it announced", hint="try again")
        return data

    def _ask(self, headers: dict[str, str]) -> http.client.HTTPResponse:
        for last in (False, True):
            try:
                self._connection.request(
                    "GET", self._target, headers={"Accept-Encoding": "identity", **headers}
                )
                answer = self._connection.getresponse()
                break
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                # A kept connection may have been closed by the server meanwhile: once more on a new one.
                if last or self._version is None:
                    raise Unavailable(f"the server does not answer ({type(error).__name__})") from None
        if answer.status in (403, 404, 410):
            raise NotFound("there is no such file, or it may not be read", pointer="url")
        if answer.status >= 500:
            raise Unavailable(f"the server answers {answer.status}", hint="try again")
        return answer

    def _take(self, answer: http.client.HTTPResponse, most: int) -> bytes:
        """At most so many bytes, and what is left of the answer is not waited for."""
        try:
            data = answer.read(most)
            while len(data) < most and (more := answer.read(most - len(data))):
                data += more
        except (OSError, http.client.HTTPException):
            raise Unavailable("the connection broke off", hint="try again") from None
        with suppress(OSError, http.client.HTTPException):
            if not answer.isclosed() and answer.read(1):
                self._connection.close()
        return data

    def _check_version(self, size: int, tag: str | None) -> None:
        if self._version is None:
            self._version, self.size = (size, tag), size
        elif self._version != (size, tag):
            raise UnreadableCheckpoint("the file changed while it was read", hint="inspect it again")
