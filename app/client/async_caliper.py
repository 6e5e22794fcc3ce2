"""AsyncCaliper: as Caliper, for asyncio."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from app.client import kinds
from app.client.asynchronous import AsyncClient
from app.client.calls import OnProgress
from app.client.events import Event
from app.client.typed_access import AsyncTypedAccess
from app.client.typed_inspection import AsyncTypedInspection


class AsyncCaliper(AsyncTypedAccess, AsyncTypedInspection):
    """As `Caliper`, for asyncio: an asynchronous context manager whose methods are awaited.

    Lists and events are asynchronous iterators. `json` is the same service in JSON.
    """

    def __init__(self, base_url: str | None = None, **options: Any) -> None:
        self.json = AsyncClient(base_url, **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def base_url(self) -> str:
        """The service's address."""
        return self.json.base_url

    async def close(self) -> None:
        """Give the connections back."""
        await self.json.close()

    async def estimate(self, obs_dim: int, hidden_dims: Sequence[int], **more: Any) -> kinds.SizedNetwork:
        """Size a network and its training; `more` are further parameters of GET /estimate."""
        return kinds.read(kinds.SizedNetwork, await self.json.estimate(obs_dim, hidden_dims, **more))

    async def tiers(self) -> list[kinds.Tier]:
        """The GPU tiers with their default networks."""
        return [kinds.read(kinds.Tier, row) for row in await self.json.tiers()]

    async def keep_calibration(self, measured: Mapping[str, Any]) -> kinds.CalibrationView:
        """Register what a device was measured to do; `measured` is what `caliper calibrate --json` writes."""
        return kinds.read(kinds.CalibrationView, await self.json.keep_calibration(measured))

    async def calibration(self, id_or_device: str) -> kinds.CalibrationDetail:
        """One calibration, or the latest of a device."""
        return kinds.read(kinds.CalibrationDetail, await self.json.calibration(id_or_device))

    async def calibrations(self, **filters: Any) -> AsyncIterator[kinds.CalibrationView]:
        """All calibrations, the newest entries first; `device="…"` leaves the others out."""
        async for row in self.json.calibrations(**filters):
            yield kinds.read(kinds.CalibrationView, row)

    async def recommendation(self, **about: Any) -> kinds.Recommendation:
        """Networks that suit a use case, data size and machine; `about` as GET /recommendation takes it."""
        return kinds.read(kinds.Recommendation, await self.json.recommendation(**about))

    async def upload_dataset(
        self,
        file: Path,
        *,
        name: str,
        declarations: Mapping[str, Any],
        source: str = "",
        licence: str = "",
        on_progress: OnProgress | None = None,
    ) -> kinds.DatasetView:
        """Send a CSV or Parquet file of bars; `declarations` are the fields of app.market Declarations.

        `on_progress` is told the bytes that were sent and those in all.
        """
        return kinds.read(
            kinds.DatasetView,
            await self.json.upload_dataset(
                file,
                name=name,
                declarations=declarations,
                source=source,
                licence=licence,
                on_progress=on_progress,
            ),
        )

    async def datasets(self, **filters: Any) -> AsyncIterator[kinds.DatasetView]:
        """All datasets, newest first."""
        async for row in self.json.datasets(**filters):
            yield kinds.read(kinds.DatasetView, row)

    async def dataset(self, id_or_name: str) -> kinds.DatasetView:
        """One dataset."""
        return kinds.read(kinds.DatasetView, await self.json.dataset(id_or_name))

    async def dataset_chart(self, id_or_name: str) -> str:
        """A dataset's price chart, as SVG."""
        return await self.json.dataset_chart(id_or_name)

    async def delete_dataset(self, id_or_name: str) -> None:
        """Hide a dataset from new jobs; jobs that trained on it can no longer be resumed."""
        await self.json.delete_dataset(id_or_name)

    async def check_dataset(
        self, file: Path, *, declarations: Mapping[str, Any], name: str = ""
    ) -> kinds.DatasetCheck:
        """Read bars as an upload would be read, and keep nothing; ServiceError lists every breach."""
        return kinds.read(
            kinds.DatasetCheck, await self.json.check_dataset(file, declarations=declarations, name=name)
        )

    async def splits(
        self, id_or_name: str, *, lookback: int | None = None, folds: int | None = None
    ) -> kinds.SplitReport:
        """Training, validation and test of a job on this dataset alone."""
        return kinds.read(
            kinds.SplitReport, await self.json.splits(id_or_name, lookback=lookback, folds=folds)
        )

    async def preview_job(self, spec: Mapping[str, Any]) -> kinds.JobPreview:
        """What `submit_job` would make of this spec, refused where that would refuse it; nothing is queued."""
        return kinds.read(kinds.JobPreview, await self.json.preview_job(spec))

    async def submit_job(
        self, spec: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> kinds.JobDetail:
        """Queue a training job; `spec` holds the fields of JobSpec."""
        return kinds.read(kinds.JobDetail, await self.json.submit_job(spec, idempotency_key=idempotency_key))

    async def submit_folds(self, spec: Mapping[str, Any], folds: int) -> list[kinds.JobDetail]:
        """Queue a walk-forward run: a job for each fold, the earliest first, in a group of their own.

        The group's name is `spec["walk_forward"]`, or a new one; the same name again gives the same jobs.
        """
        return [kinds.read(kinds.JobDetail, row) for row in await self.json.submit_folds(spec, folds)]

    async def job(self, job_id: str) -> kinds.JobDetail:
        """One job."""
        return kinds.read(kinds.JobDetail, await self.json.job(job_id))

    async def jobs(self, **filters: Any) -> AsyncIterator[kinds.JobView]:
        """All jobs, newest first; filters such as `state`, `name`, `hidden_dims`, `metric` with `metric_min`."""
        async for row in self.json.jobs(**filters):
            yield kinds.read(kinds.JobView, row)

    async def cancel(self, job_id: str) -> kinds.JobDetail:
        """Stop a job, keeping its last checkpoint."""
        return kinds.read(kinds.JobDetail, await self.json.cancel(job_id))

    async def resume(self, job_id: str) -> kinds.JobDetail:
        """Queue a stopped job again, from its last checkpoint."""
        return kinds.read(kinds.JobDetail, await self.json.resume(job_id))

    async def metrics(
        self, job_id: str, names: Sequence[str] = (), after_step: int | None = None, spread: int | None = None
    ) -> kinds.MetricPoints:
        """Measured values of a job by step; of about `spread` steps over the whole run, where given."""
        return kinds.read(kinds.MetricPoints, await self.json.metrics(job_id, names, after_step, spread))

    async def evaluation(self, job_id: str) -> kinds.JobReport:
        """How a job's policy was judged; ServiceError with code `conflict` until it has ended well."""
        return kinds.read(kinds.JobReport, await self.json.evaluation(job_id))

    async def evaluation_page(self, job_id: str) -> str:
        """The same as one HTML page that needs nothing but itself."""
        return await self.json.evaluation_page(job_id)

    async def evaluation_picture(self, job_id: str, dataset: str | None = None) -> bytes:
        """The same as PNG: of one of the job's datasets, by id or name, else of its first."""
        return await self.json.evaluation_picture(job_id, dataset)

    async def log(self, job_id: str, tail: int | None = None) -> str:
        """The log of a job's attempts, or its last lines."""
        return await self.json.log(job_id, tail)

    def events(
        self, job_id: str, *, after: int = 0, on_break: Callable[[str], None] = lambda _: None
    ) -> AsyncIterator[Event]:
        """What happens to a job, each event once and in order, until the job has ended.

        A broken connection is opened again from the last event that was seen, and `on_break` is told why it
        broke; ServiceUnreachable once the service was silent for `patience_seconds`.
        """
        return self.json.events(job_id, after=after, on_break=on_break)

    async def upload_checkpoint(
        self,
        file: Path,
        *,
        name: str,
        tags: Sequence[str] = (),
        idempotency_key: str | None = None,
        on_progress: OnProgress = lambda *_: None,
    ) -> kinds.CheckpointDetail:
        """Store and register a checkpoint file; a large one in parts, each resumed where it broke off.

        Called again with the same file and name, an upload goes on where the last call ended, even in
        another process. `on_progress` is told the bytes that have arrived and those in all. Raises
        ServiceUnreachable once the service was silent for `patience_seconds`.
        """
        return kinds.read(
            kinds.CheckpointDetail,
            await self.json.upload_checkpoint(
                file, name=name, tags=tags, idempotency_key=idempotency_key, on_progress=on_progress
            ),
        )

    async def checkpoints(self, **filters: Any) -> AsyncIterator[kinds.CheckpointView]:
        """All checkpoints, newest first; filters such as `job`, `tag`, `hidden_dims`."""
        async for row in self.json.checkpoints(**filters):
            yield kinds.read(kinds.CheckpointView, row)

    async def checkpoint(self, id_or_alias: str) -> kinds.CheckpointDetail:
        """One checkpoint, with its report."""
        return kinds.read(kinds.CheckpointDetail, await self.json.checkpoint(id_or_alias))

    async def label_checkpoint(
        self,
        id_or_alias: str,
        *,
        name: str | None = None,
        tags: Sequence[str] | None = None,
        aliases: Sequence[str] | None = None,
    ) -> kinds.CheckpointDetail:
        """Replace a checkpoint's name, tags or aliases; None leaves them. An alias moves here from another."""
        return kinds.read(
            kinds.CheckpointDetail,
            await self.json.label_checkpoint(id_or_alias, name=name, tags=tags, aliases=aliases),
        )

    async def delete_checkpoint(self, id_or_alias: str) -> None:
        """Forget a checkpoint and free its aliases."""
        await self.json.delete_checkpoint(id_or_alias)

    async def download(
        self, id_or_alias: str, target: Path, *, on_progress: OnProgress = lambda *_: None
    ) -> Path:
        """Fetch a checkpoint's file: resumed where it broke off, verified by sha256, in place only when whole.

        `on_progress` is told the bytes that have arrived and those in all. Raises ServiceError with code `corrupt_download` where the bytes are not those of the hash.
        """
        return await self.json.download(id_or_alias, target, on_progress=on_progress)

    async def export(self, id_or_alias: str, kind: str, target: Path) -> Path:
        """Fetch a checkpoint's policy as `onnx`, `safetensors`, `sb3` or `torch` (the weights alone).

        In place only when whole. Raises ServiceError with code `not_exportable` where the format cannot hold it.
        """
        return await self.json.export(id_or_alias, kind, target)

    async def diff(self, left: str, right: str) -> kinds.CheckpointDiff:
        """How two registered checkpoints differ, and whether weights load across."""
        return kinds.read(kinds.CheckpointDiff, await self.json.diff(left, right))

    async def diff_files(self, left: Path, right: Path) -> kinds.CheckpointDiff:
        """The same of two files, which the service reads and does not keep."""
        return kinds.read(kinds.CheckpointDiff, await self.json.diff_files(left, right))

    async def diff_weights(
        self, left: str, right: str, on_waiting: Callable[[str], None] = lambda _: None
    ) -> kinds.WeightsDiff:
        """How far the weights of two registered checkpoints lie apart; waits for a worker's answer.

        `on_waiting` is told what it waits for, such as `no worker is running`, whenever that changes. Raises
        ServiceError with the code of what failed, or `timeout` after an hour.
        """
        return kinds.read(kinds.WeightsDiff, await self.json.diff_weights(left, right, on_waiting))

    async def workers(self) -> list[kinds.WorkerView]:
        """The workers that consume."""
        return [kinds.read(kinds.WorkerView, row) for row in await self.json.workers()]

    async def drain_worker(self, worker_id: str, *, now: bool = False) -> kinds.WorkerView:
        """Have a worker leave: it takes no other job, ends its own (`now`: hands it back after a checkpoint), and stops."""
        return kinds.read(kinds.WorkerView, await self.json.drain_worker(worker_id, now=now))

    async def health(self) -> kinds.Health:
        """That the process lives; asks no other part of the service."""
        return kinds.read(kinds.Health, await self.json.health())

    async def measurements(self) -> str:
        """What Prometheus reads, as text."""
        return await self.json.measurements()

    async def queue(self) -> kinds.QueueState:
        """What runs on each tier, what waits, and why."""
        return kinds.read(kinds.QueueState, await self.json.queue())

    async def ready(self) -> kinds.Readiness:
        """Return when the service can take and run jobs; ServiceError says what is missing."""
        return kinds.read(kinds.Readiness, await self.json.ready())
