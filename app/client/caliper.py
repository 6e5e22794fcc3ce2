"""Caliper: the REST API for blocking code, its answers as the dataclasses that the service itself answers with."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from app.client import kinds
from app.client.calls import OnProgress
from app.client.client import Client
from app.client.events import Event
from app.client.typed_access import TypedAccess
from app.client.typed_inspection import TypedInspection


class Caliper(TypedAccess, TypedInspection):
    """A connection to one Caliper service; a context manager. Options are those of `Client`.

    Every method raises ServiceError where the service refuses, ServiceUnreachable where it does not answer.
    `json` is the same service in JSON, as the terminal and the pages use it.
    """

    def __init__(self, base_url: str | None = None, **options: Any) -> None:
        self.json = Client(base_url, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def base_url(self) -> str:
        """The service's address."""
        return self.json.base_url

    def close(self) -> None:
        """Give the connections back."""
        self.json.close()

    def estimate(self, obs_dim: int, hidden_dims: Sequence[int], **more: Any) -> kinds.SizedNetwork:
        """Size a network and its training; `more` are further parameters of GET /estimate."""
        return kinds.read(kinds.SizedNetwork, self.json.estimate(obs_dim, hidden_dims, **more))

    def tiers(self) -> list[kinds.Tier]:
        """The GPU tiers with their default networks."""
        return [kinds.read(kinds.Tier, row) for row in self.json.tiers()]

    def keep_calibration(self, measured: Mapping[str, Any]) -> kinds.CalibrationView:
        """Register what a device was measured to do; `measured` is what `caliper calibrate --json` writes."""
        return kinds.read(kinds.CalibrationView, self.json.keep_calibration(measured))

    def calibration(self, id_or_device: str) -> kinds.CalibrationDetail:
        """One calibration, or the latest of a device."""
        return kinds.read(kinds.CalibrationDetail, self.json.calibration(id_or_device))

    def calibrations(self, **filters: Any) -> Iterator[kinds.CalibrationView]:
        """All calibrations, the newest entries first; `device="…"` leaves the others out."""
        return (kinds.read(kinds.CalibrationView, row) for row in self.json.calibrations(**filters))

    def recommendation(self, **about: Any) -> kinds.Recommendation:
        """Networks that suit a use case, data size and machine; `about` as GET /recommendation takes it."""
        return kinds.read(kinds.Recommendation, self.json.recommendation(**about))

    def upload_dataset(
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
            self.json.upload_dataset(
                file,
                name=name,
                declarations=declarations,
                source=source,
                licence=licence,
                on_progress=on_progress,
            ),
        )

    def datasets(self, **filters: Any) -> Iterator[kinds.DatasetView]:
        """All datasets, newest first."""
        return (kinds.read(kinds.DatasetView, row) for row in self.json.datasets(**filters))

    def dataset(self, id_or_name: str) -> kinds.DatasetView:
        """One dataset."""
        return kinds.read(kinds.DatasetView, self.json.dataset(id_or_name))

    def dataset_chart(self, id_or_name: str) -> str:
        """A dataset's price chart, as SVG."""
        return self.json.dataset_chart(id_or_name)

    def delete_dataset(self, id_or_name: str) -> None:
        """Hide a dataset from new jobs; jobs that trained on it can no longer be resumed."""
        self.json.delete_dataset(id_or_name)

    def check_dataset(
        self, file: Path, *, declarations: Mapping[str, Any], name: str = ""
    ) -> kinds.DatasetCheck:
        """Read bars as an upload would be read, and keep nothing; ServiceError lists every breach."""
        return kinds.read(
            kinds.DatasetCheck, self.json.check_dataset(file, declarations=declarations, name=name)
        )

    def splits(
        self, id_or_name: str, *, lookback: int | None = None, folds: int | None = None
    ) -> kinds.SplitReport:
        """Training, validation and test of a job on this dataset alone."""
        return kinds.read(kinds.SplitReport, self.json.splits(id_or_name, lookback=lookback, folds=folds))

    def preview_job(self, spec: Mapping[str, Any]) -> kinds.JobPreview:
        """What `submit_job` would make of this spec, refused where that would refuse it; nothing is queued."""
        return kinds.read(kinds.JobPreview, self.json.preview_job(spec))

    def submit_job(self, spec: Mapping[str, Any], *, idempotency_key: str | None = None) -> kinds.JobDetail:
        """Queue a training job; `spec` holds the fields of JobSpec."""
        return kinds.read(kinds.JobDetail, self.json.submit_job(spec, idempotency_key=idempotency_key))

    def submit_folds(self, spec: Mapping[str, Any], folds: int) -> list[kinds.JobDetail]:
        """Queue a walk-forward run: a job for each fold, the earliest first, in a group of their own.

        The group's name is `spec["walk_forward"]`, or a new one; the same name again gives the same jobs.
        """
        return [kinds.read(kinds.JobDetail, row) for row in self.json.submit_folds(spec, folds)]

    def job(self, job_id: str) -> kinds.JobDetail:
        """One job."""
        return kinds.read(kinds.JobDetail, self.json.job(job_id))

    def jobs(self, **filters: Any) -> Iterator[kinds.JobView]:
        """All jobs, newest first; filters such as `state`, `name`, `hidden_dims`, `metric` with `metric_min`."""
        return (kinds.read(kinds.JobView, row) for row in self.json.jobs(**filters))

    def cancel(self, job_id: str) -> kinds.JobDetail:
        """Stop a job, keeping its last checkpoint."""
        return kinds.read(kinds.JobDetail, self.json.cancel(job_id))

    def resume(self, job_id: str) -> kinds.JobDetail:
        """Queue a stopped job again, from its last checkpoint."""
        return kinds.read(kinds.JobDetail, self.json.resume(job_id))

    def metrics(
        self, job_id: str, names: Sequence[str] = (), after_step: int | None = None, spread: int | None = None
    ) -> kinds.MetricPoints:
        """Measured values of a job by step; of about `spread` steps over the whole run, where given."""
        return kinds.read(kinds.MetricPoints, self.json.metrics(job_id, names, after_step, spread))

    def evaluation(self, job_id: str) -> kinds.JobReport:
        """How a job's policy was judged; ServiceError with code `conflict` until it has ended well."""
        return kinds.read(kinds.JobReport, self.json.evaluation(job_id))

    def evaluation_page(self, job_id: str) -> str:
        """The same as one HTML page that needs nothing but itself."""
        return self.json.evaluation_page(job_id)

    def evaluation_picture(self, job_id: str, dataset: str | None = None) -> bytes:
        """The same as PNG: of one of the job's datasets, by id or name, else of its first."""
        return self.json.evaluation_picture(job_id, dataset)

    def log(self, job_id: str, tail: int | None = None) -> str:
        """The log of a job's attempts, or its last lines."""
        return self.json.log(job_id, tail)

    def events(
        self, job_id: str, *, after: int = 0, on_break: Callable[[str], None] = lambda _: None
    ) -> Iterator[Event]:
        """What happens to a job, each event once and in order, until the job has ended.

        A broken connection is opened again from the last event that was seen, and `on_break` is told why it
        broke; ServiceUnreachable once the service was silent for `patience_seconds`.
        """
        return self.json.events(job_id, after=after, on_break=on_break)

    def upload_checkpoint(
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
            self.json.upload_checkpoint(
                file, name=name, tags=tags, idempotency_key=idempotency_key, on_progress=on_progress
            ),
        )

    def checkpoints(self, **filters: Any) -> Iterator[kinds.CheckpointView]:
        """All checkpoints, newest first; filters such as `job`, `tag`, `hidden_dims`."""
        return (kinds.read(kinds.CheckpointView, row) for row in self.json.checkpoints(**filters))

    def checkpoint(self, id_or_alias: str) -> kinds.CheckpointDetail:
        """One checkpoint, with its report."""
        return kinds.read(kinds.CheckpointDetail, self.json.checkpoint(id_or_alias))

    def label_checkpoint(
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
            self.json.label_checkpoint(id_or_alias, name=name, tags=tags, aliases=aliases),
        )

    def delete_checkpoint(self, id_or_alias: str) -> None:
        """Forget a checkpoint and free its aliases."""
        self.json.delete_checkpoint(id_or_alias)

    def download(self, id_or_alias: str, target: Path, *, on_progress: OnProgress = lambda *_: None) -> Path:
        """Fetch a checkpoint's file: resumed where it broke off, verified by sha256, in place only when whole.

        `on_progress` is told the bytes that have arrived and those in all. Raises ServiceError with code `corrupt_download` where the bytes are not those of the hash.
        """
        return self.json.download(id_or_alias, target, on_progress=on_progress)

    def export(self, id_or_alias: str, kind: str, target: Path) -> Path:
        """Fetch a checkpoint's policy as `onnx`, `safetensors`, `sb3` or `torch` (the weights alone).

        In place only when whole. Raises ServiceError with code `not_exportable` where the format cannot hold it.
        """
        return self.json.export(id_or_alias, kind, target)

    def diff(self, left: str, right: str) -> kinds.CheckpointDiff:
        """How two registered checkpoints differ, and whether weights load across."""
        return kinds.read(kinds.CheckpointDiff, self.json.diff(left, right))

    def diff_files(self, left: Path, right: Path) -> kinds.CheckpointDiff:
        """The same of two files, which the service reads and does not keep."""
        return kinds.read(kinds.CheckpointDiff, self.json.diff_files(left, right))

    def diff_weights(
        self, left: str, right: str, on_waiting: Callable[[str], None] = lambda _: None
    ) -> kinds.WeightsDiff:
        """How far the weights of two registered checkpoints lie apart; waits for a worker's answer.

        `on_waiting` is told what it waits for, such as `no worker is running`, whenever that changes. Raises
        ServiceError with the code of what failed, or `timeout` after an hour.
        """
        return kinds.read(kinds.WeightsDiff, self.json.diff_weights(left, right, on_waiting))

    def workers(self) -> list[kinds.WorkerView]:
        """The workers that consume."""
        return [kinds.read(kinds.WorkerView, row) for row in self.json.workers()]

    def drain_worker(self, worker_id: str, *, now: bool = False) -> kinds.WorkerView:
        """Have a worker leave: it takes no other job, ends its own (`now`: hands it back after a checkpoint), and stops."""
        return kinds.read(kinds.WorkerView, self.json.drain_worker(worker_id, now=now))

    def health(self) -> kinds.Health:
        """That the process lives; asks no other part of the service."""
        return kinds.read(kinds.Health, self.json.health())

    def measurements(self) -> str:
        """What Prometheus reads, as text."""
        return self.json.measurements()

    def queue(self) -> kinds.QueueState:
        """What runs on each tier, what waits, and why."""
        return kinds.read(kinds.QueueState, self.json.queue())

    def ready(self) -> kinds.Readiness:
        """Return when the service can take and run jobs; ServiceError says what is missing."""
        return kinds.read(kinds.Readiness, self.json.ready())
