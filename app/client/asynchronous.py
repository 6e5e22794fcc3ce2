"""AsyncClient: the REST API for asyncio, with the requests that a service or a notebook makes while it waits."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from app.client import calls
from app.client.calls import Call, Json
from app.client.client import PATIENCE_SECONDS, RETRY_SECONDS
from app.client.connection import DEFAULT_URL, STREAM_TIMEOUT, Patience, arguments, options
from app.client.errors import ServiceUnreachable, refusal
from app.client.events import ENDED_STATES, Event, EventReader


class AsyncClient:
    """As `Client`, for asyncio: an asynchronous context manager whose methods are awaited."""

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        *,
        headers: Mapping[str, str] | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._patience = patience_seconds
        self._http = httpx.AsyncClient(transport=transport, **options(self.base_url, dict(headers or {})))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def estimate(self, obs_dim: int, hidden_dims: Sequence[int], **more: Any) -> Json:
        """Size a network and its training."""
        return await self._json(calls.estimate(obs_dim, hidden_dims, more))

    async def submit_job(self, spec: Mapping[str, Any], *, idempotency_key: str | None = None) -> Json:
        """Queue a training job."""
        return await self._json(calls.submit_job(spec, idempotency_key))

    async def job(self, job_id: str) -> Json:
        """One job."""
        return await self._json(calls.job(job_id))

    async def cancel(self, job_id: str) -> Json:
        """Stop a job, keeping its last checkpoint."""
        return await self._json(calls.cancel(job_id))

    async def resume(self, job_id: str) -> Json:
        """Queue a stopped job again, from its last checkpoint."""
        return await self._json(calls.resume(job_id))

    async def metrics(self, job_id: str, names: Sequence[str] = (), after_step: int | None = None) -> Any:
        """Measured values of a job by step."""
        return await self._json(calls.metrics(job_id, names, after_step))

    async def inspect_checkpoint(self, file: Path) -> Json:
        """What is in a checkpoint file."""
        return await self._json(calls.inspect_checkpoint(file))

    async def checkpoint(self, id_or_alias: str) -> Json:
        """One checkpoint, with its report."""
        return await self._json(calls.checkpoint(id_or_alias))

    async def diff(self, left: str, right: str) -> Json:
        """How two registered checkpoints differ, and whether weights load across."""
        return await self._json(calls.diff(left, right))

    async def ready(self) -> Json:
        """Return when the service can take and run jobs."""
        return await self._json(calls.ready())

    async def events(self, job_id: str, *, after: int = 0) -> AsyncIterator[Event]:
        """What happens to a job, each event once and in order, until the job has ended; reconnects by itself."""
        reader, patience = EventReader(after), Patience(self._patience)
        while True:
            seen, heard = reader.last_id, reader.lines
            reader.restart()
            try:
                async for event in self._stream_events(job_id, reader):
                    yield event
                job = await self.job(job_id)
                if job["state"] in ENDED_STATES and reader.last_id >= int(job["last_event"]):
                    return
                patience.renew()
            except ServiceUnreachable:
                if reader.lines > heard:
                    patience.renew()
                if patience.is_over():
                    raise
            if reader.last_id == seen:
                await asyncio.sleep(reader.retry_seconds or RETRY_SECONDS)

    async def _stream_events(self, job_id: str, reader: EventReader) -> AsyncIterator[Event]:
        call = calls.events(job_id, reader.last_id)
        try:
            with arguments(call) as given:
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

    async def _json(self, call: Call) -> Json:
        try:
            with arguments(call) as given:
                response = await self._http.request(**given)
        except httpx.TransportError as error:
            raise ServiceUnreachable.at(self.base_url, error) from error
        if not response.is_success:
            raise refusal(response)
        answer: Json = response.json()
        return answer
