"""A response with a stored file's bytes, whole or in ranges, wherever the storage has them."""

import os
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from anyio import CancelScope, to_thread
from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.types import Message, Receive, Scope, Send

from app.api.problems import answer_problem
from app.errors import RangeNotSatisfiable
from app.storage import Found, ReadAhead, Storage


class StoredFile(FileResponse):
    """Starlette's file response, but the bytes come from the storage by ranges, a few megabytes held at a time.

    Its refusals are problem documents, and units other than bytes are ignored.
    """

    def __init__(
        self,
        storage: Storage,
        sha256: str,
        found: Found,
        *,
        headers: Mapping[str, str],
        media_type: str,
        filename: str | None = None,
    ) -> None:
        described = os.stat_result(
            (stat.S_IFREG | 0o400, 0, 0, 1, 0, 0, found.bytes, found.modified, found.modified, found.modified)
        )
        super().__init__(
            sha256, headers=headers, media_type=media_type, filename=filename, stat_result=described
        )
        self._storage = storage
        self._sha256 = sha256

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or the problem with the asked range."""
        refused = False

        async def send_or_refuse(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] in {400, 416}:
                refused = True
            if not refused:
                await send(message)

        await super().__call__(_readable(scope), receive, send_or_refuse)
        if refused:
            await self._refuse_range()(scope, receive, send)

    @asynccontextmanager
    async def _open_file(self) -> AsyncIterator[Any]:
        """What FileResponse reads from: it seeks, and reads a little at a time."""
        ranges = self._storage.ranges(self._sha256)
        file = await to_thread.run_sync(ranges.__enter__)
        try:
            yield _Reader(ReadAhead(file.read, file.size))
        finally:
            with CancelScope(shield=True):
                await to_thread.run_sync(ranges.__exit__, None, None, None)

    def _refuse_range(self) -> Response:
        size = int(self.headers["content-length"])
        hint = f"the file has {size:,} bytes: e.g. Range: bytes=0-{min(size, 1024) - 1}, or bytes=-{min(size, 1024)}"
        error = RangeNotSatisfiable(
            "the Range header names no bytes of the file", hint=hint, pointer="Range", bytes=size
        )
        return answer_problem(error.problem(), {"Content-Range": f"bytes */{size}"})


class _Reader:
    """As much of an asynchronous file as FileResponse asks for; only a new window is read in a thread."""

    def __init__(self, read: ReadAhead) -> None:
        self._read = read
        self._at = 0

    async def seek(self, offset: int) -> None:
        self._at = offset

    async def read(self, size: int) -> bytes:
        data = self._read.kept(self._at, min(size, self._read.size - self._at))
        if data is None:
            data = await to_thread.run_sync(self._read, self._at, size)
        self._at += len(data)
        return data


def _readable(scope: Scope) -> Scope:
    """Without a Range of an unknown unit (RFC 9110 section 14.2: it is ignored), and without a path to send."""
    extensions = {
        name: value for name, value in scope.get("extensions", {}).items() if name != "http.response.pathsend"
    }
    unit = Headers(scope=scope).get("range", "bytes=").partition("=")[0].strip().lower()
    headers = [(name, value) for name, value in scope["headers"] if unit == "bytes" or name != b"range"]
    return {**scope, "extensions": extensions, "headers": headers}
