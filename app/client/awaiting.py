"""Awaiting: how `AsyncClient` sends requests, walks through steps, and reads pages and streams."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import httpx

from app.client import answers, calls
from app.client.calls import Call
from app.client.connection import (
    RETRIES,
    STREAM_TIMEOUT,
    Patience,
    Retry,
    address_of,
    arguments,
    awaited_blocks,
    options,
    redirected,
)
from app.client.errors import ServiceError, ServiceUnreachable, refusal
from app.client.events import ENDED_STATES, Event, EventReader
from app.client.operations import PATIENCE_SECONDS, RETRY_SECONDS
from app.client.steps import Fetch, Incoming, Pause, Step, Steps, Walk, Work

Answer = TypeVar("Answer")


class Awaiting:
    """As `Blocking`, for asyncio: an asynchronous context manager; `http` and `transport` are httpx's asynchronous ones.

    `httpx.ASGITransport(app)` asks an application in this process; it gives a stream only once that has ended.
    """

    def __init__(  # noqa: PLR0913 - named options, each with a default
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | httpx.Timeout | None = None,
        retries: int = RETRIES,
        patience_seconds: float = PATIENCE_SECONDS,
        transport: httpx.AsyncBaseTransport | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._address = address_of(base_url, http.base_url if http else None, headers, api_key)
        self._retries = retries
        self._patience = patience_seconds
        self._is_ours = http is None
        self._http = http or httpx.AsyncClient(transport=transport, **options(self._address, timeout))

    @property
    def base_url(self) -> str:
        """The service's address."""
        return self._address.url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back."""
        if self._is_ours:
            await self._http.aclose()

    async def _json(self, call: Call[Answer]) -> Answer:
        return cast("Answer", (await self._send(call)).json())

    async def _send(self, call: Call[Any]) -> httpx.Response:
        """Send a call, again where its connection failed and that does no harm."""
        retry = Retry(call, self._retries)
        while True:
            try:
                response = await self._request(call)
            except httpx.TransportError as error:
                pause = retry.pause_after(error)
                if pause is None:
                    raise ServiceUnreachable.at(self.base_url, error) from error
                await asyncio.sleep(pause)
            else:
                pause = retry.pause_asked(response)
                if pause is None:
                    break
                await asyncio.sleep(pause)
        if not response.is_success:
            raise refusal(response)
        return response

    async def _request(self, call: Call[Any]) -> httpx.Response:
        with arguments(call, self._address) as given:
            if call.part is not None:
                given["content"] = awaited_blocks(call.part)
            return await self._http.request(**given)

    async def _walk(self, steps: Steps[Answer]) -> Answer:
        walk = Walk(steps)
        while walk.step is not None:
            try:
                answer = await self._take(walk.step)
            except ServiceError as error:
                walk.fail(error)
            else:
                walk.go_on(answer)
        return walk.result

    async def _take(self, step: Step) -> Any:
        if isinstance(step, Pause):
            return await asyncio.sleep(step.seconds)
        if isinstance(step, Work):
            return await asyncio.to_thread(step.do)
        if isinstance(step, Fetch):
            return await self._fetch(step)
        return await self._json(step)

    async def _pages(
        self,
        ask: Callable[[Mapping[str, Any], str | None], Call[answers.Page[Answer]]],
        filters: Mapping[str, Any],
    ) -> AsyncIterator[Answer]:
        cursor: str | None = None
        while True:
            page = await self._json(ask(filters, cursor))
            for item in page["items"]:
                yield item
            cursor = page.get("next_cursor")
            if not cursor:
                return

    async def _follow(
        self, job_id: str, reader: EventReader, on_break: Callable[[str], None]
    ) -> AsyncIterator[Event]:
        """A job's events; a broken connection is opened again from the last event that was seen."""
        patience = Patience(self._patience)
        while True:
            seen, heard = reader.last_id, reader.lines
            reader.restart()
            try:
                async for event in self._stream_events(job_id, reader):
                    yield event
                if await self._has_ended(job_id, reader.last_id):
                    return
                patience.renew()
            except ServiceUnreachable as error:
                if reader.lines > heard:
                    patience.renew()
                if patience.is_over():
                    raise
                on_break(error.detail)
            if reader.last_id == seen:
                await asyncio.sleep(reader.retry_seconds or RETRY_SECONDS)

    async def _stream_events(self, job_id: str, reader: EventReader) -> AsyncIterator[Event]:
        call = calls.events(job_id, reader.last_id)
        try:
            with arguments(call, self._address) as given:
                async with self._http.stream(**given, timeout=STREAM_TIMEOUT) as response:
                    if not response.is_success:
                        await response.aread()
                        raise refusal(response)
                    async for line in response.aiter_lines():
                        event = reader.feed(line)
                        if event is not None:
                            yield event
        except httpx.TransportError as error:
            raise ServiceUnreachable.at(self.base_url, error) from error

    async def _has_ended(self, job_id: str, seen: int) -> bool:
        """Whether the job has ended and all that happened to it was seen."""
        job = await self._json(calls.job(job_id))
        return job["state"] in ENDED_STATES and seen >= job["last_event"]

    async def _receive(self, response: httpx.Response, into: Incoming) -> None:
        if not response.is_success:
            await response.aread()
            raise refusal(response)
        into.begin(response)
        async for chunk in response.aiter_raw():
            into.write(chunk)

    async def _fetch(self, step: Fetch) -> None:
        try:
            with arguments(step.call, self._address) as given:
                async with self._http.stream(**given, timeout=STREAM_TIMEOUT) as response:
                    elsewhere = redirected(response.request, response)
                    if elsewhere is None:
                        await self._receive(response, step.into)
                if elsewhere is not None:
                    response = await self._http.send(elsewhere, auth=None, stream=True)
                    async with aclosing(response):
                        await self._receive(response, step.into)
        except httpx.TransportError as error:
            raise ServiceUnreachable.at(self.base_url, error) from error
