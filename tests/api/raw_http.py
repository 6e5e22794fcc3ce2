"""HTTP by hand over a real socket: what no client library would send, and how the service answers it."""

import http.client
import io
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

TIMEOUT = 30.0
"""How long an answer is awaited; no passing test comes near."""


@dataclass(frozen=True)
class Answer:
    """One answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """A connection to the service."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=TIMEOUT)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, *parts: bytes) -> bool:
        """Send; False where the service has closed the connection meanwhile."""
        try:
            for part in parts:
                self.socket.sendall(part)
        except ConnectionError:
            return False
        return True

    def answer(self, method: str = "GET") -> Answer | None:
        """The next whole answer; None where the connection was closed instead."""
        response = http.client.HTTPResponse(_Shared(self._file), method=method)  # type: ignore[arg-type]
        try:
            response.begin()
            body = response.read()
        except (ConnectionError, http.client.HTTPException):
            return None
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)

    def is_closed(self) -> bool:
        """Wait for the service to close the connection; False where it sends something else."""
        try:
            return self._file.read(1) == b""
        except ConnectionError:
            return True

    def cut(self) -> None:
        """Break the connection off, as a cable does: with a reset and not a farewell."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._file.close()
        self.socket.close()


class _Shared:
    """A connection's file, given to one answer after the other: none may close it or read ahead of its end."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def makefile(self, *_: object) -> Any:
        return _Open(self._file)


class _Open(io.BufferedIOBase):
    def __init__(self, file: Any) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        return bytes(self._file.read(-1 if size is None else size))

    def read1(self, size: int = -1) -> bytes:
        return bytes(self._file.read1(size))

    def readline(self, size: int | None = -1) -> bytes:
        return bytes(self._file.readline(-1 if size is None else size))

    def readinto(self, buffer: Any) -> int:
        return int(self._file.readinto(buffer))


def head(method: str, path: str, *headers: str, version: str = "HTTP/1.1") -> bytes:
    """A request line and its headers, with a Host."""
    return "\r\n".join((f"{method} {path} {version}", "Host: localhost", *headers, "", "")).encode("latin-1")


def request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    """A request whose length is right."""
    return head(method, path, f"Content-Length: {len(body)}", *headers) + body


def json_request(method: str, path: str, body: bytes, *headers: str) -> bytes:
    """The same with JSON."""
    return request(method, path, body, "Content-Type: application/json", *headers)


def form_request(path: str, body: bytes, boundary: str = "B", *headers: str) -> bytes:
    """The same with a multipart form."""
    return request("POST", path, body, f"Content-Type: multipart/form-data; boundary={boundary}", *headers)


def part(name: str, content: bytes, filename: str | None = None, *headers: str) -> bytes:
    """One part of a form whose boundary is B."""
    named = f'; filename="{filename}"' if filename is not None else ""
    lines = ("--B", f'Content-Disposition: form-data; name="{name}"{named}', *headers, "", "")
    return "\r\n".join(lines).encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    """A whole form."""
    return b"".join((*parts, b"--B--\r\n"))


def chunked(chunks: Iterable[bytes]) -> bytes:
    """A body in chunks."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
