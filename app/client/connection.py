"""How both clients talk: address, time limits, streamed uploads, when a request is sent again."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from app.addresses import is_loopback
from app.client.calls import Call, FilePart
from app.client.errors import ServiceError

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
"""Seconds for an ordinary request; an upload's answer comes only once the file was read."""

UPLOAD_TIMEOUT = httpx.Timeout(600.0, connect=5.0)

SILENCE_SECONDS = 45.0
"""The service sends a comment every 15 s into an idle event stream; after this long it is taken as dead."""

STREAM_TIMEOUT = httpx.Timeout(30.0, connect=5.0, read=SILENCE_SECONDS)

BLOCK_BYTES = 1 << 20
"""How much of a file is in memory while it is sent."""

DEFAULT_URL = "http://127.0.0.1:8400"
"""Where `caliper serve` listens unless told otherwise."""


RETRIES = 3
"""How often a request is sent again by default."""

RETRY_PAUSES = (0.0, 0.25, 0.75)
"""Seconds before each time that a request is sent again; the last one for all further times."""

MOST_PAUSE = 30.0
"""Longest pause that the service may ask for."""

HEADERS = {"User-Agent": "caliper-client", "Accept": "application/json"}
"""Headers of every request, unless the caller names others."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where requests go, and what each of them carries."""

    url: str
    """The service's address, without a slash at its end."""
    headers: Mapping[str, str] = field(repr=False)
    """Headers of every request; one of them may hold a key."""


def address_of(
    base_url: str | None, own: httpx.URL | None, headers: Mapping[str, str] | None, api_key: str | None = None
) -> Address:
    """The address that was asked for, else the caller's own httpx client's, CALIPER_URL's, or this machine's.

    The key is CALIPER_API_KEY's where none was given; an empty one is none.
    """
    url = base_url or str(own or "") or os.environ.get("CALIPER_URL") or DEFAULT_URL
    key = _checked(os.environ.get("CALIPER_API_KEY", "") if api_key is None else api_key)
    own_headers = dict(headers or {})
    is_named = "authorization" in map(str.lower, own_headers)
    sent = {"Authorization": f"Bearer {key}"} if key and not is_named else {}
    return Address(url.rstrip("/"), {**HEADERS, **sent, **own_headers})


def _checked(key: str) -> str:
    """A key as a header can carry it. Raises ServiceError, which does not repeat it."""
    key = key.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        detail = "the API key holds characters that no key has"
        raise ServiceError(
            detail, code="unauthenticated", status=401, hint="was it copied whole, and nothing else?"
        )
    return key


def options(address: Address, timeout: float | httpx.Timeout | None) -> dict[str, Any]:
    """What httpx's clients are built with."""
    url = httpx.URL(address.url)
    return {
        "base_url": url,
        "headers": dict(address.headers),
        "timeout": TIMEOUT if timeout is None else timeout,
        "follow_redirects": False,
        # This machine is never reached through a proxy that the environment may name.
        "trust_env": not is_loopback(url.host),
    }


@contextlib.contextmanager
def arguments(call: Call[Any], address: Address) -> Iterator[dict[str, Any]]:
    """The keyword arguments of httpx for a call; its files are open within."""
    headers = {**address.headers, **call.headers}
    given: dict[str, Any] = {"method": call.method, "url": address.url + call.path, "headers": headers}
    if call.params:
        given["params"] = call.query()
    if call.body is not None:
        given["json"] = call.body
    with contextlib.ExitStack() as stack:
        if call.files:
            opened = {field: stack.enter_context(_opened(call, path)) for field, path in call.files.items()}
            given["files"] = {field: (call.files[field].name, file) for field, file in opened.items()}
            given["data"] = dict(call.form)
            given["timeout"] = UPLOAD_TIMEOUT
        elif call.form:
            # Fields without a file are sent as parts of a form too: that is what the service reads.
            given["files"] = [(name, (None, text)) for name, text in _fields(call.form)]
            given["timeout"] = UPLOAD_TIMEOUT
        elif call.part is not None:
            given["content"] = blocks(call.part)
            given["timeout"] = UPLOAD_TIMEOUT
        yield given


@contextlib.contextmanager
def _opened(call: Call[Any], path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        yield file if call.on_progress is None else WatchedFile(file, call.on_progress)


class WatchedFile:
    """An open file that tells how much of it was read; as much of the file protocol as httpx asks for."""

    def __init__(self, file: BinaryIO, on_progress: Callable[[int, int], None]) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._on_progress = on_progress

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        content = self._file.read(size)
        if content:
            self._on_progress(self._file.tell(), self._size)
        return content

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a byte."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The next byte's number."""
        return self._file.tell()

    def fileno(self) -> int:
        """The operating system's number of the file."""
        return self._file.fileno()


def _fields(form: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in form.items():
        yield from ((name, str(item)) for item in (value if isinstance(value, list) else [value]))


def blocks(part: FilePart) -> Iterator[bytes]:
    """A part of a file, a little at a time."""
    with part.file.open("rb") as file:
        file.seek(part.start)
        left = part.length
        while left and (block := file.read(min(left, BLOCK_BYTES))):
            left -= len(block)
            yield block


async def awaited_blocks(part: FilePart) -> AsyncIterator[bytes]:
    """The same for asyncio, whose loop does not wait for the disk."""
    reading = blocks(part)
    while block := await asyncio.to_thread(next, reading, b""):
        yield block


def redirected(request: httpx.Request, response: httpx.Response) -> httpx.Request | None:
    """The same request for the bytes at the store that the service points to; None where it sends them itself.

    Only the range goes with it: who asks, and with which key, is not the store's to know, nor is the service's ETag.
    """
    if response.status_code != httpx.codes.TEMPORARY_REDIRECT:
        return None
    kept = {name: request.headers[name] for name in ("accept-encoding", "range") if name in request.headers}
    url = request.url.join(response.headers.get("location", ""))
    if url.scheme not in ("http", "https"):
        return None
    return httpx.Request("GET", url, headers=kept, extensions={"timeout": STREAM_TIMEOUT.as_dict()})


class Retry:
    """Whether and when a request whose connection failed is sent again.

    A refused connection carried nothing, so any request may follow it; after a broken one only a request that
    does no more when it arrives twice. A service that is silent until the time limit is not asked again, nor is
    a part of an upload sent again before the service was asked how much of it has arrived.
    """

    def __init__(self, call: Call[Any], retries: int) -> None:
        self._repeatable = call.repeatable
        self._left = 0 if call.part is not None else retries
        self._pauses = iter(RETRY_PAUSES)

    def pause_after(self, error: httpx.TransportError) -> float | None:
        """Seconds until the request is sent again; None where it is not."""
        refused = isinstance(error, httpx.ConnectError)
        broken = isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError)
        if self._left <= 0 or not (refused or (broken and self._repeatable)):
            return None
        self._left -= 1
        return next(self._pauses, RETRY_PAUSES[-1])

    def pause_asked(self, response: httpx.Response) -> float | None:
        """Seconds until a request that came too soon is sent again, as the service asks; None for other answers.

        Such a request was not even looked at: sending it again does no harm, whatever it is.
        """
        asked = response.headers.get("retry-after", "")
        if response.status_code != httpx.codes.TOO_MANY_REQUESTS or not asked.isdecimal() or self._left <= 0:
            return None
        self._left -= 1
        return min(float(asked), MOST_PAUSE)


class Patience:
    """How long failures in a row are borne: counted from the first one, not from the last success.

    A stream may be quiet for hours and break then; that is its first failure, however long it was quiet.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._since: float | None = None

    def renew(self) -> None:
        """Something worked: the next failure is the first again."""
        self._since = None

    def is_over(self) -> bool:
        """Count a failure; whether they have lasted too long."""
        now = self._clock()
        self._since = now if self._since is None else self._since
        return now - self._since >= self._seconds
