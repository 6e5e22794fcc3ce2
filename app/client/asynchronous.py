"""AsyncClient: the REST API for asyncio; the same methods as Client, awaited."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import httpx

from app.client import answers, calls
from app.client.calls import Call
from app.client.connection import DEFAULT_URL, STREAM_TIMEOUT, Patience, arguments, awaited_blocks, options
from app.client.errors import ServiceError, ServiceUnreachable, refusal
from app.client.events import ENDED_STATES, Event, EventReader
from app.client.operations import (
    PATIENCE_SECONDS,
    RETRY_SECONDS,
    compare_weights,
    download_file,
    submit_folds,
)
from app.client.steps import Fetch, Pause, Step, Steps, Walk, Work
from app.client.upload import OnProgress, upload_file

Answer = TypeVar("Answer")


class AsyncClient:
    """As `Client`, for asyncio: an asynchronous context manager whose methods are awaited.

    Lists and events are asynchronous iterators. Large files are read and hashed in threads.
    """

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

    async def estimate(self, obs_dim: int, hidden_dims: Sequence[int], **more: Any) -> answers.SizedNetwork:
        """Size a network and its training; `more` are further parameters of GET /estimate."""
        return await self._json(calls.estimate(obs_dim, hidden_dims, more))

    async def tiers(self) -> list[answers.Tier]:
        """The GPU tiers with their default networks."""
        return await self._json(calls.tiers())

    async def recommendation(self, **about: Any) -> answers.Recommendation:
        """Networks that suit a use case, data size and machine; `about` as GET /recommendation takes it."""
        return await self._json(calls.recommendation(about))

    async def upload_dataset(
        self, file: Path, *, name: str, declarations: Mapping[str, Any], source: str = "", licence: str = ""
    ) -> answers.DatasetView:
        """Send a CSV or Parquet file of bars; `declarations` are the fields of app.market Declarations."""
        return await self._json(calls.upload_dataset(file, name, declarations, source, licence))

    def datasets(self, **filters: Any) -> AsyncIterator[answers.DatasetView]:
        """All datasets, newest first."""
        return self._pages(calls.datasets, filters)

    async def dataset(self, id_or_name: str) -> answers.DatasetView:
        """One dataset."""
        return await self._json(calls.dataset(id_or_name))

    async def submit_job(
        self, spec: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> answers.JobDetail:
        """Queue a training job; `spec` holds the fields of JobSpec."""
        return await self._json(calls.submit_job(spec, idempotency_key))

    async def submit_folds(self, spec: Mapping[str, Any], folds: int) -> list[answers.JobDetail]:
        """Queue a walk-forward run: a job for each fold, the earliest first, in a group of their own.

        The group's name is `spec["walk_forward"]`, or a new one; the same name again gives the same jobs.
        """
        return await self._walk(submit_folds(spec, folds))

    async def job(self, job_id: str) -> answers.JobDetail:
        """One job."""
        return await self._json(calls.job(job_id))

    def jobs(self, **filters: Any) -> AsyncIterator[answers.JobView]:
        """All jobs, newest first; `state="running"` and the like leave the others out."""
        return self._pages(calls.jobs, filters)

    async def cancel(self, job_id: str) -> answers.JobDetail:
        """Stop a job, keeping its last checkpoint."""
        return await self._json(calls.cancel(job_id))

    async def resume(self, job_id: str) -> answers.JobDetail:
        """Queue a stopped job again, from its last checkpoint."""
        return await self._json(calls.resume(job_id))

    async def metrics(
        self, job_id: str, names: Sequence[str] = (), after_step: int | None = None
    ) -> answers.MetricPoints:
        """Measured values of a job by step."""
        return await self._json(calls.metrics(job_id, names, after_step))

    async def evaluation(self, job_id: str) -> answers.JobReport:
        """How a job's policy was judged; ServiceError with code `conflict` until it has ended well."""
        return await self._json(calls.evaluation(job_id))

    async def evaluation_page(self, job_id: str) -> str:
        """The same as one HTML page that needs nothing but itself."""
        return (await self._send(calls.evaluation_page(job_id))).text

    async def evaluation_picture(self, job_id: str, dataset: str | None = None) -> bytes:
        """The same as PNG: of one of the job's datasets, by id or name, else of its first."""
        return (await self._send(calls.evaluation_picture(job_id, dataset))).content

    async def log(self, job_id: str) -> str:
        """The log of a job's attempts."""
        return (await self._send(calls.log(job_id))).text

    async def events(self, job_id: str, *, after: int = 0) -> AsyncIterator[Event]:
        """What happens to a job, each event once and in order, until the job has ended.

        A broken connection is opened again from the last event that was seen; ServiceUnreachable once the
        service was silent for `patience_seconds`.
        """
        reader, patience = EventReader(after), Patience(self._patience)
        while True:
            seen, heard = reader.last_id, reader.lines
            reader.restart()
            try:
                async for event in self._stream_events(job_id, reader):
                    yield event
                if await self._has_ended(job_id, reader.last_id):
                    return
                patience.renew()
            except ServiceUnreachable:
                if reader.lines > heard:
                    patience.renew()
                if patience.is_over():
                    raise
            if reader.last_id == seen:
                await asyncio.sleep(reader.retry_seconds or RETRY_SECONDS)

    async def inspect_checkpoint(self, file: Path) -> answers.CheckpointReport:
        """What is in a checkpoint file, read by the service without running or storing it."""
        return await self._json(calls.inspect_checkpoint(file))

    async def upload_checkpoint(
        self,
        file: Path,
        *,
        name: str,
        tags: Sequence[str] = (),
        idempotency_key: str | None = None,
        on_progress: OnProgress = lambda *_: None,
    ) -> answers.CheckpointDetail:
        """Store and register a checkpoint file; a large one in parts, each resumed where it broke off.

        Called again with the same file and name, an upload goes on where the last call ended, even in
        another process. `on_progress` is told the bytes that have arrived and those in all. Raises
        ServiceUnreachable once the service was silent for `patience_seconds`.
        """
        patience = Patience(self._patience)
        return await self._walk(upload_file(file, name, tags, idempotency_key, patience, on_progress))

    def checkpoints(self, **filters: Any) -> AsyncIterator[answers.CheckpointView]:
        """All checkpoints, newest first; filters such as `job`, `tag`, `hidden_dims`."""
        return self._pages(calls.checkpoints, filters)

    async def checkpoint(self, id_or_alias: str) -> answers.CheckpointDetail:
        """One checkpoint, with its report."""
        return await self._json(calls.checkpoint(id_or_alias))

    async def download(self, id_or_alias: str, target: Path) -> Path:
        """Fetch a checkpoint's file: resumed where it broke off, verified by sha256, in place only when whole.

        Raises ServiceError with code `corrupt_download` where the bytes are not those of the hash.
        """
        return await self._walk(download_file(id_or_alias, target, Patience(self._patience)))

    async def diff(self, left: str, right: str) -> answers.CheckpointDiff:
        """How two registered checkpoints differ, and whether weights load across."""
        return await self._json(calls.diff(left, right))

    async def diff_files(self, left: Path, right: Path) -> answers.CheckpointDiff:
        """The same of two files, which the service reads and does not keep."""
        return await self._json(calls.diff_files(left, right))

    async def diff_weights(
        self, left: str, right: str, on_waiting: Callable[[str], None] = lambda _: None
    ) -> answers.WeightsDiff:
        """How far the weights of two registered checkpoints lie apart; waits for a worker's answer.

        `on_waiting` is told what it waits for, such as `no worker is running`, whenever that changes. Raises
        ServiceError with the code of what failed, or `timeout` after an hour.
        """
        return await self._walk(compare_weights(left, right, on_waiting))

    async def workers(self) -> list[answers.WorkerView]:
        """The workers that consume."""
        return await self._json(calls.workers())

    async def ready(self) -> answers.Readiness:
        """Return when the service can take and run jobs; ServiceError says what is missing."""
        return await self._json(calls.ready())

    async def _json(self, call: Call[Answer]) -> Answer:
        return cast("Answer", (await self._send(call)).json())

    async def _send(self, call: Call[Any]) -> httpx.Response:
        """Send a call; one that may be repeated is, once, where a kept connection turned out to be closed."""
        try:
            response = await self._request(call)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
            if not call.repeatable:
                raise ServiceUnreachable.at(self.base_url, error) from error
            try:
                response = await self._request(call)
            except httpx.TransportError as again:
                raise ServiceUnreachable.at(self.base_url, again) from again
        except httpx.TransportError as error:
            raise ServiceUnreachable.at(self.base_url, error) from error
        if not response.is_success:
            raise refusal(response)
        return response

    async def _request(self, call: Call[Any]) -> httpx.Response:
        with arguments(call) as given:
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

    async def _has_ended(self, job_id: str, seen: int) -> bool:
        """Whether the job has ended and all that happened to it was seen."""
        job = await self.job(job_id)
        return job["state"] in ENDED_STATES and seen >= job["last_event"]

    async def _fetch(self, step: Fetch) -> None:
        try:
            with arguments(step.call) as given:
                async with self._http.stream(**given, timeout=STREAM_TIMEOUT) as response:
                    if not response.is_success:
                        await response.aread()
                        raise refusal(response)
                    step.into.begin(response)
                    async for chunk in response.aiter_raw():
                        step.into.write(chunk)
        except httpx.TransportError as error:
            raise ServiceUnreachable.at(self.base_url, error) from error
