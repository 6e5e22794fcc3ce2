"""How both clients talk: address, time limits, streamed uploads."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any

import httpx

from app.client.calls import Call, FilePart

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


def options(base_url: str, headers: dict[str, str] | None) -> dict[str, Any]:
    """What httpx's clients are built with."""
    url = httpx.URL(base_url)
    return {
        "base_url": url,
        "timeout": TIMEOUT,
        "headers": {"User-Agent": "caliper-client", "Accept": "application/json", **(headers or {})},
        "follow_redirects": False,
        # This machine is never reached through a proxy that the environment may name.
        "trust_env": not is_loopback(url.host),
    }


def is_loopback(host: str) -> bool:
    """Whether a host name is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextlib.contextmanager
def arguments(call: Call[Any]) -> Iterator[dict[str, Any]]:
    """The keyword arguments of httpx for a call; its files are open within."""
    given: dict[str, Any] = {"method": call.method, "url": call.path, "headers": dict(call.headers)}
    if call.params:
        given["params"] = call.query()
    if call.body is not None:
        given["json"] = call.body
    with contextlib.ExitStack() as stack:
        if call.files:
            opened = {field: stack.enter_context(path.open("rb")) for field, path in call.files.items()}
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
