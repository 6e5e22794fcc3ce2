"""AsyncClient: the REST API for asyncio, in JSON; the same methods as Client, awaited."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.client import answers, calls
from app.client.access import AwaitingAccess
from app.client.calls import OnProgress
from app.client.connection import Patience
from app.client.events import Event, EventReader
from app.client.export import export_checkpoint
from app.client.operations import compare_weights, download_file, submit_folds
from app.client.upload import upload_file


class AsyncClient(AwaitingAccess):
    """As `Client`, for asyncio: an asynchronous context manager whose methods are awaited.

    Lists and events are asynchronous iterators. Large files are read and hashed in threads.
    """

    async def estimate(self, obs_dim: int, hidden_dims: Sequence[int], **more: Any) -> answers.SizedNetwork:
        """Size a network and its training; `more` are further parameters of GET /estimate."""
        return await self._json(calls.estimate(obs_dim, hidden_dims, more))

    async def tiers(self) -> list[answers.Tier]:
        """The GPU tiers with their default networks."""
        return await self._json(calls.tiers())

    async def keep_calibration(self, measured: Mapping[str, Any]) -> answers.CalibrationView:
        """Register what a device was measured to do; `measured` is what `caliper calibrate --json` writes."""
        return await self._json(calls.keep_calibration(measured))

    async def calibration(self, id_or_device: str) -> answers.CalibrationDetail:
        """One calibration, or the latest of a device."""
        return await self._json(calls.calibration(id_or_device))

    def calibrations(self, **filters: Any) -> AsyncIterator[answers.CalibrationView]:
        """All calibrations, the newest entries first; `device="…"` leaves the others out."""
        return self._pages(calls.calibrations, filters)

    async def recommendation(self, **about: Any) -> answers.Recommendation:
        """Networks that suit a use case, data size and machine; `about` as GET /recommendation takes it."""
        return await self._json(calls.recommendation(about))

    async def upload_dataset(
        self,
        file: Path,
        *,
        name: str,
        declarations: Mapping[str, Any],
        source: str = "",
        licence: str = "",
        on_progress: OnProgress | None = None,
    ) -> answers.DatasetView:
        """Send a CSV or Parquet file of bars; `declarations` are the fields of app.market Declarations.

        `on_progress` is told the bytes that were sent and those in all.
        """
        fields = {"name": name, **declarations, "source": source, "licence": licence}
        return await self._json(calls.upload_dataset(file, fields, on_progress))

    def datasets(self, **filters: Any) -> AsyncIterator[answers.DatasetView]:
        """All datasets, newest first."""
        return self._pages(calls.datasets, filters)

    async def dataset(self, id_or_name: str) -> answers.DatasetView:
        """One dataset."""
        return await self._json(calls.dataset(id_or_name))

    async def dataset_chart(self, id_or_name: str) -> str:
        """A dataset's price chart, as SVG."""
        return (await self._send(calls.dataset_chart(id_or_name))).text

    async def delete_dataset(self, id_or_name: str) -> None:
        """Hide a dataset from new jobs; jobs that trained on it can no longer be resumed."""
        await self._send(calls.delete_dataset(id_or_name))

    async def check_dataset(
        self, file: Path, *, declarations: Mapping[str, Any], name: str = ""
    ) -> answers.DatasetCheck:
        """Read bars as an upload would be read, and keep nothing; ServiceError lists every breach."""
        return await self._json(calls.check_dataset(file, {"name": name, **declarations}))

    async def splits(
        self, id_or_name: str, *, lookback: int | None = None, folds: int | None = None
    ) -> answers.SplitReport:
        """Training, validation and test of a job on this dataset alone."""
        return await self._json(calls.splits(id_or_name, lookback, folds))

    async def preview_job(self, spec: Mapping[str, Any]) -> answers.JobPreview:
        """What `submit_job` would make of this spec, refused where that would refuse it; nothing is queued."""
        return await self._json(calls.preview_job(spec))

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
        """All jobs, newest first; filters such as `state`, `name`, `hidden_dims`, `metric` with `metric_min`."""
        return self._pages(calls.jobs, filters)

    async def cancel(self, job_id: str) -> answers.JobDetail:
        """Stop a job, keeping its last checkpoint."""
        return await self._json(calls.cancel(job_id))

    async def resume(self, job_id: str) -> answers.JobDetail:
        """Queue a stopped job again, from its last checkpoint."""
        return await self._json(calls.resume(job_id))

    async def metrics(
        self,
        job_id: str,
        names: Sequence[str] = (),
        after_step: int | None = None,
        spread: int | None = None,
    ) -> answers.MetricPoints:
        """Measured values of a job by step; of about `spread` steps over the whole run, where given."""
        return await self._json(calls.metrics(job_id, names, after_step, spread))

    async def evaluation(self, job_id: str) -> answers.JobReport:
        """How a job's policy was judged; ServiceError with code `conflict` until it has ended well."""
        return await self._json(calls.evaluation(job_id))

    async def evaluation_page(self, job_id: str) -> str:
        """The same as one HTML page that needs nothing but itself."""
        return (await self._send(calls.evaluation_page(job_id))).text

    async def evaluation_picture(self, job_id: str, dataset: str | None = None) -> bytes:
        """The same as PNG: of one of the job's datasets, by id or name, else of its first."""
        return (await self._send(calls.evaluation_picture(job_id, dataset))).content

    async def log(self, job_id: str, tail: int | None = None) -> str:
        """The log of a job's attempts, or its last lines."""
        return (await self._send(calls.log(job_id, tail))).text

    def events(
        self, job_id: str, *, after: int = 0, on_break: Callable[[str], None] = lambda _: None
    ) -> AsyncIterator[Event]:
        """What happens to a job, each event once and in order, until the job has ended.

        A broken connection is opened again from the last event that was seen, and `on_break` is told why it
        broke; ServiceUnreachable once the service was silent for `patience_seconds`.
        """
        return self._follow(job_id, EventReader(after), on_break)

    async def inspect_checkpoint(self, file: Path) -> answers.CheckpointReport:
        """What is in a checkpoint file, read by the service without running or storing it."""
        return await self._json(calls.inspect_checkpoint(file))

    async def inspect_registered(self, id_or_alias: str) -> answers.CheckpointReport:
        """What today's reader sees in a registered checkpoint; `report` of the checkpoint is what was seen first."""
        return await self._json(calls.inspect_registered(id_or_alias))

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

    async def label_checkpoint(
        self,
        id_or_alias: str,
        *,
        name: str | None = None,
        tags: Sequence[str] | None = None,
        aliases: Sequence[str] | None = None,
    ) -> answers.CheckpointDetail:
        """Replace a checkpoint's name, tags or aliases; None leaves them. An alias moves here from another."""
        labels = {"name": name, "tags": tags, "aliases": aliases}
        return await self._json(calls.label_checkpoint(id_or_alias, labels))

    async def delete_checkpoint(self, id_or_alias: str) -> None:
        """Forget a checkpoint and free its aliases."""
        await self._send(calls.delete_checkpoint(id_or_alias))

    async def download(
        self, id_or_alias: str, target: Path, *, on_progress: OnProgress = lambda *_: None
    ) -> Path:
        """Fetch a checkpoint's file: resumed where it broke off, verified by sha256, in place only when whole.

        `on_progress` is told the bytes that have arrived and those in all. Raises ServiceError with code `corrupt_download` where the bytes are not those of the hash.
        """
        return await self._walk(download_file(id_or_alias, target, Patience(self._patience), on_progress))

    async def export(self, id_or_alias: str, kind: str, target: Path) -> Path:
        """Fetch a checkpoint's policy as `onnx`, `safetensors`, `sb3` or `torch` (the weights alone).

        In place only when whole. Raises ServiceError with code `not_exportable` where the format cannot hold it.
        """
        return await self._walk(export_checkpoint(id_or_alias, kind, target))

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

    async def drain_worker(self, worker_id: str, *, now: bool = False) -> answers.WorkerView:
        """Have a worker leave: it takes no other job, ends its own (`now`: hands it back after a checkpoint), and stops."""
        return await self._json(calls.drain_worker(worker_id, now=now))

    async def health(self) -> answers.Health:
        """That the process lives; asks no other part of the service."""
        return await self._json(calls.health())

    async def measurements(self) -> str:
        """What Prometheus reads, as text."""
        return (await self._send(calls.measurements())).text

    async def queue(self) -> answers.QueueState:
        """What runs on each tier, what waits, and why."""
        return await self._json(calls.queue())

    async def ready(self) -> answers.Readiness:
        """Return when the service can take and run jobs; ServiceError says what is missing."""
        return await self._json(calls.ready())
