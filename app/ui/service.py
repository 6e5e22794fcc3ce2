"""The API as the pages reach it: its own client, in process, with the credentials of whoever looks.

Every figure on a page therefore is an answer of the public API; no page knows the registry.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

import httpx
from fastapi import Depends, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.client import AsyncClient
from app.client.calls import Call
from app.client.errors import refusal

Answer = TypeVar("Answer")

PASSED_ON = ("authorization", "x-forwarded-for", "x-request-id", "traceparent")
"""Headers of the reader's request that the API's own requests carry too."""

COOKIE = "caliper_key"
"""The cookie that holds the reader's API key; the API takes it by the same name for what changes nothing."""


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


class Within:
    """The app as pages ask it: their requests arrived where the page's own request did, and it has passed the gate."""

    def __init__(self, app: ASGIApp, page: Scope) -> None:
        self._app = app
        self._server = page.get("server")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask the app."""
        scope["server"], scope["caliper.within"] = self._server, True
        await self._app(scope, receive, send)


async def open_client(request: Request) -> AsyncIterator[PageClient]:
    """A client of the very app that renders the page, with its reader's key."""
    async with open_with(request, request.cookies.get(COOKIE, "")) as client:
        yield client


@asynccontextmanager
async def open_with(request: Request, key: str) -> AsyncIterator[PageClient]:
    """The same with another key; empty for none, and never the one of the service's own environment."""
    peer = (request.client.host, request.client.port) if request.client else ("127.0.0.1", 0)
    app = Within(request.app, request.scope)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=peer)
    headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
    url = f"{request.url.scheme}://{request.url.netloc}"
    async with PageClient(url, api_key=key, headers=headers, transport=transport) as client:
        yield client


Service = Annotated[PageClient, Depends(open_client)]
"""The API, as an argument of a page's function."""
