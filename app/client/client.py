"""Client: the REST API for blocking code, in JSON."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.client import answers, calls
from app.client.access import BlockingAccess
from app.client.calls import OnProgress
from app.client.connection import Patience
from app.client.events import Event, EventReader
from app.client.export import export_checkpoint
from app.client.operations import compare_weights, download_file, submit_folds
from app.client.upload import upload_file


class Client(BlockingAccess):
    """A connection to one Caliper service; a context manager.

    Every method raises ServiceError where the service refuses, ServiceUnreachable where it does not answer.
    Answers are the JSON values that /docs describes, typed in app.client.answers.
    """

    def estimate(self, obs_dim: int, hidden_dims: Sequence[int], **more: Any) -> answers.SizedNetwork:
        """Size a network and its training; `more` are further parameters of GET /estimate."""
        return self._json(calls.estimate(obs_dim, hidden_dims, more))

    def tiers(self) -> list[answers.Tier]:
        """The GPU tiers with their default networks."""
        return self._json(calls.tiers())

    def keep_calibration(self, measured: Mapping[str, Any]) -> answers.CalibrationView:
        """Register what a device was measured to do; `measured` is what `caliper calibrate --json` writes."""
        return self._json(calls.keep_calibration(measured))

    def calibration(self, id_or_device: str) -> answers.CalibrationDetail:
        """One calibration, or the latest of a device."""
        return self._json(calls.calibration(id_or_device))

    def calibrations(self, **filters: Any) -> Iterator[answers.CalibrationView]:
        """All calibrations, the newest entries first; `device="…"` leaves the others out."""
        return self._pages(calls.calibrations, filters)

    def recommendation(self, **about: Any) -> answers.Recommendation:
        """Networks that suit a use case, data size and machine; `about` as GET /recommendation takes it."""
        return self._json(calls.recommendation(about))

    def upload_dataset(
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
        return self._json(calls.upload_dataset(file, fields, on_progress))

    def datasets(self, **filters: Any) -> Iterator[answers.DatasetView]:
        """All datasets, newest first."""
        return self._pages(calls.datasets, filters)

    def dataset(self, id_or_name: str) -> answers.DatasetView:
        """One dataset."""
        return self._json(calls.dataset(id_or_name))

    def dataset_chart(self, id_or_name: str) -> str:
        """A dataset's price chart, as SVG."""
        return self._send(calls.dataset_chart(id_or_name)).text

    def delete_dataset(self, id_or_name: str) -> None:
        """Hide a dataset from new jobs; jobs that trained on it can no longer be resumed."""
        self._send(calls.delete_dataset(id_or_name))

    def check_dataset(
        self, file: Path, *, declarations: Mapping[str, Any], name: str = ""
    ) -> answers.DatasetCheck:
        """Read bars as an upload would be read, and keep nothing; ServiceError lists every breach."""
        return self._json(calls.check_dataset(file, {"name": name, **declarations}))

    def splits(
        self, id_or_name: str, *, lookback: int | None = None, folds: int | None = None
    ) -> answers.SplitReport:
        """Training, validation and test of a job on this dataset alone."""
        return self._json(calls.splits(id_or_name, lookback, folds))

    def preview_job(self, spec: Mapping[str, Any]) -> answers.JobPreview:
        """What `submit_job` would make of this spec, refused where that would refuse it; nothing is queued."""
        return self._json(calls.preview_job(spec))

    def submit_job(self, spec: Mapping[str, Any], *, idempotency_key: str | None = None) -> answers.JobDetail:
        """Queue a training job; `spec` holds the fields of JobSpec."""
        return self._json(calls.submit_job(spec, idempotency_key))

    def submit_folds(self, spec: Mapping[str, Any], folds: int) -> list[answers.JobDetail]:
        """Queue a walk-forward run: a job for each fold, the earliest first, in a group of their own.

        The group's name is `spec["walk_forward"]`, or a new one; the same name again gives the same jobs.
        """
        return self._walk(submit_folds(spec, folds))

    def job(self, job_id: str) -> answers.JobDetail:
        """One job."""
        return self._json(calls.job(job_id))

    def jobs(self, **filters: Any) -> Iterator[answers.JobView]:
        """All jobs, newest first; filters such as `state`, `name`, `hidden_dims`, `metric` with `metric_min`."""
        return self._pages(calls.jobs, filters)

    def cancel(self, job_id: str) -> answers.JobDetail:
        """Stop a job, keeping its last checkpoint."""
        return self._json(calls.cancel(job_id))

    def resume(self, job_id: str) -> answers.JobDetail:
        """Queue a stopped job again, from its last checkpoint."""
        return self._json(calls.resume(job_id))

    def metrics(
        self,
        job_id: str,
        names: Sequence[str] = (),
        after_step: int | None = None,
        spread: int | None = None,
    ) -> answers.MetricPoints:
        """Measured values of a job by step; of about `spread` steps over the whole run, where given."""
        return self._json(calls.metrics(job_id, names, after_step, spread))

    def evaluation(self, job_id: str) -> answers.JobReport:
        """How a job's policy was judged; ServiceError with code `conflict` until it has ended well."""
        return self._json(calls.evaluation(job_id))

    def evaluation_page(self, job_id: str) -> str:
        """The same as one HTML page that needs nothing but itself."""
        return self._send(calls.evaluation_page(job_id)).text

    def evaluation_picture(self, job_id: str, dataset: str | None = None) -> bytes:
        """The same as PNG: of one of the job's datasets, by id or name, else of its first."""
        return self._send(calls.evaluation_picture(job_id, dataset)).content

    def log(self, job_id: str, tail: int | None = None) -> str:
        """The log of a job's attempts, or its last lines."""
        return self._send(calls.log(job_id, tail)).text

    def events(
        self, job_id: str, *, after: int = 0, on_break: Callable[[str], None] = lambda _: None
    ) -> Iterator[Event]:
        """What happens to a job, each event once and in order, until the job has ended.

        A broken connection is opened again from the last event that was seen, and `on_break` is told why it
        broke; ServiceUnreachable once the service was silent for `patience_seconds`.
        """
        return self._follow(job_id, EventReader(after), on_break)

    def inspect_checkpoint(self, file: Path) -> answers.CheckpointReport:
        """What is in a checkpoint file, read by the service without running or storing it."""
        return self._json(calls.inspect_checkpoint(file))

    def inspect_registered(self, id_or_alias: str) -> answers.CheckpointReport:
        """What today's reader sees in a registered checkpoint; `report` of the checkpoint is what was seen first."""
        return self._json(calls.inspect_registered(id_or_alias))

    def upload_checkpoint(
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
        return self._walk(upload_file(file, name, tags, idempotency_key, patience, on_progress))

    def checkpoints(self, **filters: Any) -> Iterator[answers.CheckpointView]:
        """All checkpoints, newest first; filters such as `job`, `tag`, `hidden_dims`."""
        return self._pages(calls.checkpoints, filters)

    def checkpoint(self, id_or_alias: str) -> answers.CheckpointDetail:
        """One checkpoint, with its report."""
        return self._json(calls.checkpoint(id_or_alias))

    def label_checkpoint(
        self,
        id_or_alias: str,
        *,
        name: str | None = None,
        tags: Sequence[str] | None = None,
        aliases: Sequence[str] | None = None,
    ) -> answers.CheckpointDetail:
        """Replace a checkpoint's name, tags or aliases; None leaves them. An alias moves here from another."""
        labels = {"name": name, "tags": tags, "aliases": aliases}
        return self._json(calls.label_checkpoint(id_or_alias, labels))

    def delete_checkpoint(self, id_or_alias: str) -> None:
        """Forget a checkpoint and free its aliases."""
        self._send(calls.delete_checkpoint(id_or_alias))

    def download(self, id_or_alias: str, target: Path, *, on_progress: OnProgress = lambda *_: None) -> Path:
        """Fetch a checkpoint's file: resumed where it broke off, verified by sha256, in place only when whole.

        `on_progress` is told the bytes that have arrived and those in all. Raises ServiceError with code `corrupt_download` where the bytes are not those of the hash.
        """
        return self._walk(download_file(id_or_alias, target, Patience(self._patience), on_progress))

    def export(self, id_or_alias: str, kind: str, target: Path) -> Path:
        """Fetch a checkpoint's policy as `onnx`, `safetensors`, `sb3` or `torch` (the weights alone).

        In place only when whole. Raises ServiceError with code `not_exportable` where the format cannot hold it.
        """
        return self._walk(export_checkpoint(id_or_alias, kind, target))

    def diff(self, left: str, right: str) -> answers.CheckpointDiff:
        """How two registered checkpoints differ, and whether weights load across."""
        return self._json(calls.diff(left, right))

    def diff_files(self, left: Path, right: Path) -> answers.CheckpointDiff:
        """The same of two files, which the service reads and does not keep."""
        return self._json(calls.diff_files(left, right))

    def diff_weights(
        self, left: str, right: str, on_waiting: Callable[[str], None] = lambda _: None
    ) -> answers.WeightsDiff:
        """How far the weights of two registered checkpoints lie apart; waits for a worker's answer.

        `on_waiting` is told what it waits for, such as `no worker is running`, whenever that changes. Raises
        ServiceError with the code of what failed, or `timeout` after an hour.
        """
        return self._walk(compare_weights(left, right, on_waiting))

    def workers(self) -> list[answers.WorkerView]:
        """The workers that consume."""
        return self._json(calls.workers())

    def drain_worker(self, worker_id: str, *, now: bool = False) -> answers.WorkerView:
        """Have a worker leave: it takes no other job, ends its own (`now`: hands it back after a checkpoint), and stops."""
        return self._json(calls.drain_worker(worker_id, now=now))

    def health(self) -> answers.Health:
        """That the process lives; asks no other part of the service."""
        return self._json(calls.health())

    def measurements(self) -> str:
        """What Prometheus reads, as text."""
        return self._send(calls.measurements()).text

    def queue(self) -> answers.QueueState:
        """What runs on each tier, what waits, and why."""
        return self._json(calls.queue())

    def ready(self) -> answers.Readiness:
        """Return when the service can take and run jobs; ServiceError says what is missing."""
        return self._json(calls.ready())
