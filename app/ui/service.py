"""The API as the pages reach it: its own client, in process, with the credentials of whoever looks.

Every figure on a page therefore is an answer of the public API; no page knows the registry.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Any, TypeVar

import httpx
from fastapi import Depends, Request

from app.client import AsyncClient
from app.client.calls import Call
from app.client.errors import refusal

Answer = TypeVar("Answer")

CREDENTIALS = ("authorization", "cookie", "x-forwarded-for", "x-request-id", "traceparent")
"""Headers of the reader's request that the API's own requests carry too."""


class PageClient(AsyncClient):
    """The asynchronous client, which also asks single calls and passes a browser's upload on as it arrives."""

    async def ask(self, call: Call[Answer]) -> Answer:
        """The answer to one call of `app.client.calls`, such as one page of a list."""
        return await self._json(call)

    async def forward_form(self, path: str, request: Request) -> Any:
        """The answer to the form that a browser sent, passed on byte by byte; nothing of it is kept here."""
        named = ("content-type", "content-length")
        headers = {name: request.headers[name] for name in named if name in request.headers}
        response = await self._http.post(path, content=request.stream(), headers=headers)
        if not response.is_success:
            raise refusal(response)
        return response.json()


async def open_client(request: Request) -> AsyncIterator[PageClient]:
    """A client of the very app that renders the page."""
    peer = (request.client.host, request.client.port) if request.client else ("127.0.0.1", 0)
    transport = httpx.ASGITransport(app=request.app, raise_app_exceptions=False, client=peer)
    headers = {name: request.headers[name] for name in CREDENTIALS if name in request.headers}
    url = f"{request.url.scheme}://{request.url.netloc}"
    async with PageClient(url, headers=headers, transport=transport) as client:
        yield client


Service = Annotated[PageClient, Depends(open_client)]
"""The API, as an argument of a page's function."""
