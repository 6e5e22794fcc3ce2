"""Blocking: how `Client` sends requests, walks through steps, and reads pages and streams."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
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
    options,
    redirected,
)
from app.client.errors import ServiceError, ServiceUnreachable, refusal
from app.client.events import ENDED_STATES, Event, EventReader
from app.client.operations import PATIENCE_SECONDS, RETRY_SECONDS
from app.client.steps import Fetch, Incoming, Pause, Step, Steps, Walk, Work

Answer = TypeVar("Answer")


class Blocking:
    """A connection to one service; a context manager.

    Without `base_url` the address is CALIPER_URL's, else that of `caliper serve` on this machine. `http` is an httpx
    client of your own, for proxies, certificates or authentication, with an address of its own; it is left open.
    `transport` replaces only httpx's transport. `api_key` is sent with every request; without it CALIPER_API_KEY, and with
    an empty text none. `headers` go with every request too. `timeout` is that of ordinary requests in seconds. A request is
    sent again up to `retries` times where its connection failed and doing so does no harm, or it came too soon. Streams,
    downloads and uploads in parts go on for `patience_seconds` while the service does not answer.
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
        transport: httpx.BaseTransport | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        self._address = address_of(base_url, http.base_url if http else None, headers, api_key)
        self._retries = retries
        self._patience = patience_seconds
        self._is_ours = http is None
        self._http = http or httpx.Client(transport=transport, **options(self._address, timeout))

    @property
    def base_url(self) -> str:
        """The service's address."""
        return self._address.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        if self._is_ours:
            self._http.close()

    def _json(self, call: Call[Answer]) -> Answer:
        return cast("Answer", self._send(call).json())

    def _send(self, call: Call[Any]) -> httpx.Response:
        """Send a call, again where its connection failed and that does no harm."""
        retry = Retry(call, self._retries)
        while True:
            try:
                with arguments(call, self._address) as given:
                    response = self._http.request(**given)
            except httpx.TransportError as error:
                pause = retry.pause_after(error)
                if pause is None:
                    raise ServiceUnreachable.at(self.base_url, error) from error
                time.sleep(pause)
            else:
                pause = retry.pause_asked(response)
                if pause is None:
                    break
                time.sleep(pause)
        if not response.is_success:
            raise refusal(response)
        return response

    def _walk(self, steps: Steps[Answer]) -> Answer:
        walk = Walk(steps)
        while walk.step is not None:
            try:
                answer = self._take(walk.step)
            except ServiceError as error:
                walk.fail(error)
            else:
                walk.go_on(answer)
        return walk.result

    def _take(self, step: Step) -> Any:
        if isinstance(step, Pause):
            return time.sleep(step.seconds)
        if isinstance(step, Work):
            return step.do()
        if isinstance(step, Fetch):
            return self._fetch(step)
        return self._json(step)

    def _pages(
        self,
        ask: Callable[[Mapping[str, Any], str | None], Call[answers.Page[Answer]]],
        filters: Mapping[str, Any],
    ) -> Iterator[Answer]:
        cursor: str | None = None
        while True:
            page = self._json(ask(filters, cursor))
            yield from page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return

    def _follow(self, job_id: str, reader: EventReader, on_break: Callable[[str], None]) -> Iterator[Event]:
        """A job's events; a broken connection is opened again from the last event that was seen."""
        patience = Patience(self._patience)
        while True:
            seen, heard = reader.last_id, reader.lines
            reader.restart()
            try:
                yield from self._stream_events(job_id, reader)
                if self._has_ended(job_id, reader.last_id):
                    return
                patience.renew()
            except ServiceUnreachable as error:
                if reader.lines > heard:
                    patience.renew()
                if patience.is_over():
                    raise
                on_break(error.detail)
            if reader.last_id == seen:
                time.sleep(reader.retry_seconds or RETRY_SECONDS)

    def _stream_events(self, job_id: str, reader: EventReader) -> Iterator[Event]:
        call = calls.events(job_id, reader.last_id)
        try:
            with (
                arguments(call, self._address) as given,
                self._http.stream(**given, timeout=STREAM_TIMEOUT) as response,
            ):
                if not response.is_success:
                    response.read()
                    raise refusal(response)
                for line in response.iter_lines():
                    event = reader.feed(line)
                    if event is not None:
                        yield event
        except httpx.TransportError as error:
            raise ServiceUnreachable.at(self.base_url, error) from error

    def _has_ended(self, job_id: str, seen: int) -> bool:
        """Whether the job has ended and all that happened to it was seen."""
        job = self._json(calls.job(job_id))
        return job["state"] in ENDED_STATES and seen >= job["last_event"]

    def _receive(self, response: httpx.Response, into: Incoming) -> None:
        if not response.is_success:
            response.read()
            raise refusal(response)
        into.begin(response)
        for chunk in response.iter_raw():
            into.write(chunk)

    def _fetch(self, step: Fetch) -> None:
        try:
            with (
                arguments(step.call, self._address) as given,
                self._http.stream(**given, timeout=STREAM_TIMEOUT) as response,
            ):
                elsewhere = redirected(response.request, response)
                if elsewhere is None:
                    self._receive(response, step.into)
            if elsewhere is not None:
                with closing(self._http.send(elsewhere, auth=None, stream=True)) as response:
                    self._receive(response, step.into)
        except httpx.TransportError as error:
            raise ServiceUnreachable.at(self.base_url, error) from error
