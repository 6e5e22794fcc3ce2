"""Client: the REST API for blocking code."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from app.client import calls
from app.client.calls import Call, Json
from app.client.connection import DEFAULT_URL, STREAM_TIMEOUT, Patience, arguments, options
from app.client.errors import ServiceError, ServiceUnreachable, refusal
from app.client.events import ENDED_STATES, Event, EventReader
from app.client.transfer import Download
from app.client.upload import PART_BYTES, ResumableUpload

PATIENCE_SECONDS = 120.0
"""How long `events` and `download` go on trying while the service does not answer."""

WEIGHTS_SECONDS = 3_700.0
"""How long a comparison of weights is awaited: longer than the service lets one run."""

WEIGHTS_POLL_SECONDS = 0.3
"""Pause between two looks at it."""

RETRY_SECONDS = 1.0
"""Pause before a stream is opened again, where the service names none."""


class Client:
    """A connection to one Caliper service; a context manager.

    Every method raises ServiceError where the service refuses, ServiceUnreachable where it does not answer.
    Answers are the JSON values that /docs describes.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        *,
        headers: Mapping[str, str] | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._patience = patience_seconds
        self._http = httpx.Client(transport=transport, **options(self.base_url, dict(headers or {})))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def estimate(self, obs_dim: int, hidden_dims: Sequence[int], **more: Any) -> Json:
        """Size a network and its training; `more` are further parameters of GET /estimate."""
        return self._json(calls.estimate(obs_dim, hidden_dims, more))

    def tiers(self) -> Any:
        """The GPU tiers with their default networks."""
        return self._json(calls.tiers())

    def recommendation(self, **about: Any) -> Any:
        """Networks that suit a use case, data size and machine; `about` as GET /recommendation takes it."""
        return self._json(calls.recommendation(about))

    def upload_dataset(
        self, file: Path, *, name: str, declarations: Mapping[str, Any], source: str = "", licence: str = ""
    ) -> Json:
        """Send a CSV or Parquet file of bars; `declarations` are the fields of app.market Declarations."""
        return self._json(calls.upload_dataset(file, name, declarations, source, licence))

    def datasets(self, **filters: Any) -> Iterator[Json]:
        """All datasets, newest first."""
        return self._pages("/datasets", filters)

    def dataset(self, id_or_name: str) -> Json:
        """One dataset."""
        return self._json(calls.dataset(id_or_name))

    def submit_job(self, spec: Mapping[str, Any], *, idempotency_key: str | None = None) -> Json:
        """Queue a training job; `spec` holds the fields of JobSpec."""
        return self._json(calls.submit_job(spec, idempotency_key))

    def job(self, job_id: str) -> Json:
        """One job."""
        return self._json(calls.job(job_id))

    def jobs(self, **filters: Any) -> Iterator[Json]:
        """All jobs, newest first; `state="running"` and the like leave the others out."""
        return self._pages("/jobs", filters)

    def cancel(self, job_id: str) -> Json:
        """Stop a job, keeping its last checkpoint."""
        return self._json(calls.cancel(job_id))

    def resume(self, job_id: str) -> Json:
        """Queue a stopped job again, from its last checkpoint."""
        return self._json(calls.resume(job_id))

    def metrics(self, job_id: str, names: Sequence[str] = (), after_step: int | None = None) -> Any:
        """Measured values of a job by step."""
        return self._json(calls.metrics(job_id, names, after_step))

    def log(self, job_id: str) -> str:
        """The log of a job's attempts."""
        return self._send(calls.log(job_id)).text

    def events(self, job_id: str, *, after: int = 0) -> Iterator[Event]:
        """What happens to a job, each event once and in order, until the job has ended.

        A broken connection is opened again from the last event that was seen; ServiceUnreachable once the
        service was silent for `patience_seconds`.
        """
        reader, patience = EventReader(after), Patience(self._patience)
        while True:
            seen, heard = reader.last_id, reader.lines
            reader.restart()
            try:
                yield from self._stream_events(job_id, reader)
                if self._has_ended(job_id, reader.last_id):
                    return
                patience.renew()
            except ServiceUnreachable:
                if reader.lines > heard:
                    patience.renew()
                if patience.is_over():
                    raise
            if reader.last_id == seen:
                time.sleep(reader.retry_seconds or RETRY_SECONDS)

    def inspect_checkpoint(self, file: Path) -> Json:
        """What is in a checkpoint file, read by the service without running or storing it."""
        return self._json(calls.inspect_checkpoint(file))

    def upload_checkpoint(
        self,
        file: Path,
        *,
        name: str,
        tags: Sequence[str] = (),
        idempotency_key: str | None = None,
        on_progress: Callable[[int, int], None] = lambda *_: None,
    ) -> Json:
        """Store and register a checkpoint file; a large one in parts, each resumed where it broke off.

        Called again with the same file and name, an upload goes on where the last call ended, even in
        another process. `on_progress` is told the bytes that have arrived and those in all. Raises
        ServiceUnreachable once the service was silent for `patience_seconds`.
        """
        if file.stat().st_size <= PART_BYTES:
            return self._json(calls.upload_checkpoint(file, name, tags, idempotency_key))
        upload = ResumableUpload(self._json, file, name, Patience(self._patience), on_progress)
        return upload.send(tags, idempotency_key)

    def checkpoints(self, **filters: Any) -> Iterator[Json]:
        """All checkpoints, newest first; filters such as `job`, `tag`, `hidden_dims`."""
        return self._pages("/checkpoints", filters)

    def checkpoint(self, id_or_alias: str) -> Json:
        """One checkpoint, with its report."""
        return self._json(calls.checkpoint(id_or_alias))

    def download(self, id_or_alias: str, target: Path) -> Path:
        """Fetch a checkpoint's file: resumed where it broke off, verified by sha256, in place only when whole.

        Raises ServiceError with code `corrupt_download` where the bytes are not those of the hash.
        """
        row = self.checkpoint(id_or_alias)
        download = Download(target, sha256=row["sha256"], size=row["bytes"])
        patience = Patience(self._patience)
        while download.missing:
            before = download.received
            try:
                self._fetch(str(row["id"]), download)
                download.require_whole()
            except ServiceUnreachable:
                if download.received > before:
                    patience.renew()
                if patience.is_over():
                    raise
                time.sleep(RETRY_SECONDS)
        return download.finish()

    def diff(self, left: str, right: str) -> Json:
        """How two registered checkpoints differ, and whether weights load across."""
        return self._json(calls.diff(left, right))

    def diff_files(self, left: Path, right: Path) -> Json:
        """The same of two files, which the service reads and does not keep."""
        return self._json(calls.diff_files(left, right))

    def diff_weights(self, left: str, right: str) -> Json:
        """How far the weights of two registered checkpoints lie apart; waits for the answer.

        Raises ServiceError with the code of what failed, or `timeout` after an hour.
        """
        asked = self._json(calls.begin_weights_diff(left, right))
        deadline = time.monotonic() + WEIGHTS_SECONDS
        while asked["state"] in {"queued", "running"}:
            if time.monotonic() > deadline:
                raise ServiceError("the weights were not compared in time", code="timeout", hint="ask again")
            time.sleep(WEIGHTS_POLL_SECONDS)
            asked = self._json(calls.weights_diff(asked["id"]))
        if asked["result"] is None:
            error = asked["error"] or {}
            detail = str(error.get("detail", "the weights were not compared"))
            raise ServiceError(detail, code=str(error.get("code", "error")), hint=str(error.get("hint", "")))
        answer: Json = asked["result"]
        return answer

    def workers(self) -> Any:
        """The workers that consume."""
        return self._json(calls.workers())

    def ready(self) -> Json:
        """Return when the service can take and run jobs; ServiceError says what is missing."""
        return self._json(calls.ready())

    def _json(self, call: Call) -> Json:
        answer: Json = self._send(call).json()
        return answer

    def _send(self, call: Call) -> httpx.Response:
        """Send a call; one that may be repeated is, once, where a kept connection turned out to be closed."""
        try:
            response = self._request(call)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
            if not call.repeatable:
                raise ServiceUnreachable.at(self.base_url, error) from error
            try:
                response = self._request(call)
            except httpx.TransportError as again:
                raise ServiceUnreachable.at(self.base_url, again) from again
        except httpx.TransportError as error:
            raise ServiceUnreachable.at(self.base_url, error) from error
        if not response.is_success:
            raise refusal(response)
        return response

    def _request(self, call: Call) -> httpx.Response:
        with arguments(call) as given:
            return self._http.request(**given)

    def _pages(self, path: str, filters: Mapping[str, Any]) -> Iterator[Json]:
        cursor: str | None = None
        while True:
            page = self._json(calls.page(path, filters, cursor, None))
            yield from page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return

    def _stream_events(self, job_id: str, reader: EventReader) -> Iterator[Event]:
        call = calls.events(job_id, reader.last_id)
        try:
            with arguments(call) as given, self._http.stream(**given, timeout=STREAM_TIMEOUT) as response:
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
        job = self.job(job_id)
        return job["state"] in ENDED_STATES and seen >= int(job["last_event"])

    def _fetch(self, checkpoint_id: str, download: Download) -> None:
        call = calls.checkpoint_file(checkpoint_id, download.sha256, download.received)
        try:
            with arguments(call) as given, self._http.stream(**given, timeout=STREAM_TIMEOUT) as response:
                if not response.is_success:
                    response.read()
                    raise refusal(response)
                download.begin(response)
                for chunk in response.iter_raw():
                    download.write(chunk)
        except httpx.TransportError as error:
            raise ServiceUnreachable.at(self.base_url, error) from error
