"""One attempt at a job, from its claim to its registered checkpoint: `python -m worker.run <job> <fence> <supervisor>`.

The supervisor has claimed the job; this process trains, and stops at the next update when it is sent
SIGTERM, after a last checkpoint.
"""

import errno
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from app.errors import (
    CaliperError,
    InvalidConfig,
    OutOfDeviceMemory,
    StoreUnavailable,
    TrainingFailed,
    Unavailable,
)
from app.jobs.plan import PlannedDataset, TrainingPlan
from app.logs import bind_ids, configure_logs
from app.market.bars import Bars, load_bars
from app.market.evaluation import Evaluation, mean_figures
from app.market.mismatch import check_computable, check_weights_fit
from app.registry.attempts import Hold
from app.registry.checkpoints import find_checkpoint
from app.registry.database import Database, Session
from app.registry.datasets import get_dataset
from app.registry.jobs import get_job
from app.registry.tables import Checkpoint, Job
from app.settings import Settings, get_settings
from app.storage import Storage, open_storage
from worker import exits
from worker.assemble import Assembly, assemble
from worker.chart import draw_charts
from worker.device import list_versions, memory_in_use
from worker.ppo.allocator import keep_freed_memory
from worker.ppo.failures import memory_errors
from worker.ppo.progress import Progress
from worker.process import StopFlag, die_with_parent
from worker.record import HoldLost, Recorder
from worker.save import load_checkpoint

Answer = TypeVar("Answer")

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a disk says that has no room, a quota that is used up, and a file over its limit."""

PROGRESS_SECONDS = 0.5
"""Least time between two progress records at first; updates in between are not recorded."""

PROGRESS_SECONDS_MAX = 10.0
"""The same after hours: a long run leaves thousands of points, not millions."""

PROGRESS_RECORDS = 2_000
"""Records after which the time between them begins to grow with the run's."""


@dataclass
class TrainingRun:
    """One attempt: loads, trains, keeps checkpoints, evaluates, finishes."""

    settings: Settings
    database: Database
    hold: Hold
    stop: StopFlag
    assembled: Callable[[], object] = lambda: None
    """Called once the markets are made and nothing has been trained."""
    storage: Storage = field(init=False)
    recorder: Recorder = field(init=False)
    assembly: Assembly = field(init=False)
    progress: dict[str, Any] = field(default_factory=dict)
    _kept_at: float = field(default_factory=time.monotonic)
    _kept_update: int = 0
    _trained: tuple[int, float] = (0, 0.0)  # steps of this attempt, and the seconds of their updates
    _retries_noted: int = 0

    def execute(self) -> int:
        """Run the attempt and return the process's exit code."""
        self.storage = open_storage(self.settings)
        job = self._read(lambda session: get_job(session, self.hold.job_id))
        bind_ids(request_id=job.request_id, attempt=job.attempt)
        self.recorder = Recorder(self.database, self.storage, job, self.hold, self.settings.lease_seconds)
        try:
            self.recorder.note_versions(list_versions())
            self._prepare(job)
            return self._train()
        except HoldLost:
            return exits.DONE
        except Unavailable:
            raise  # the registry may come back: another attempt may do better
        except CaliperError as error:
            if isinstance(error, OutOfDeviceMemory):
                error.extra["estimated_bytes"] = job.estimate["memory"]["total_bytes"]
                self._note_retries()
            self.recorder.fail(error)
            return exits.DONE

    def _prepare(self, job: Job) -> None:
        check_computable(job.config["schema"])
        plan = TrainingPlan.from_plain(job.id, job.config)
        self.assembly = assemble(plan, {dataset.id: self._load(dataset) for dataset in plan.datasets})
        self.assembled()
        self.recorder.note("network built", parameters=plan.shape.parameters, hidden_dims=job.hidden_dims)
        if self.assembly.trainer.first_layer is not None:
            self.recorder.note("first layer chosen", reason=self.assembly.trainer.first_layer.reason)
        if job.resume_from is not None:
            self._continue_from(job.resume_from)
        elif job.spec.get("initial_checkpoint"):
            self._start_from(job.spec["initial_checkpoint"])
        self.recorder.forget_metrics_after(self.assembly.trainer.global_step)

    def _load(self, dataset: PlannedDataset) -> Bars:
        file_sha256 = self._read(lambda session: get_dataset(session, dataset.id).file_sha256)
        with self.storage.local_copy(file_sha256) as path:
            bars = load_bars(path)
        if bars.sha256 != dataset.sha256:
            raise TrainingFailed(
                f"the stored bars of {dataset.name} are not those that the job was submitted for"
            )
        return bars

    def _continue_from(self, checkpoint_id: str) -> None:
        """Resume bit by bit where an earlier attempt stopped."""
        checkpoint = self._find(checkpoint_id)
        contents = self._load_checkpoint(checkpoint)
        check_weights_fit(contents.get("feature_schema"), self.assembly.plan.schema, checkpoint.id)
        trainer, used = self.assembly.trainer, contents["config"]["num_minibatches"]
        if trainer.config.oom_retry and used != trainer.config.num_minibatches:
            trainer.split_into(used)
        trainer.load_state_dict(contents, take_over=True)
        self.recorder.parent_id = checkpoint.id
        self._kept_update = self.assembly.trainer.update
        self.recorder.note("resumed", checkpoint=checkpoint.id, step=checkpoint.step)

    def _start_from(self, id_or_alias: str) -> None:
        """Begin a new run with another checkpoint's weights."""
        checkpoint = self._find(id_or_alias)
        contents = self._load_checkpoint(checkpoint)
        check_weights_fit(contents.get("feature_schema"), self.assembly.plan.schema, checkpoint.id)
        try:
            self.assembly.trainer.network.load_state_dict(contents["policy_state_dict"])
        except RuntimeError as error:
            detail = f"the weights of {checkpoint.id} do not fit this network"
            raise InvalidConfig(detail, hint="GET /checkpoints/diff says what differs") from error
        self.recorder.parent_id = checkpoint.id
        self.recorder.note("weights loaded", checkpoint=checkpoint.id)

    def _load_checkpoint(self, checkpoint: Checkpoint) -> dict[str, Any]:
        with self.storage.local_copy(checkpoint.sha256) as path:
            return load_checkpoint(path)

    def _find(self, id_or_alias: str) -> Checkpoint:
        return self._read(lambda session: find_checkpoint(session, id_or_alias))

    def _read(self, work: Callable[[Session], Answer]) -> Answer:
        """Ask the registry, for a lease's time again where it does not answer: its restart costs no attempt."""
        return self.database.read_patiently(work, self.settings.lease_seconds)

    def _train(self) -> int:
        reported_at = 0.0
        started = time.monotonic()
        first_step = self.assembly.trainer.global_step
        for progress in self.assembly.trainer.train():
            self._note_retries()
            self._note_speed(progress)
            last = progress.update == progress.num_updates
            now = time.monotonic()
            if last or now - reported_at >= progress_pause(now - started):
                reported_at = now
                self._report(progress, (progress.global_step - first_step) / (now - started))
            if last:
                break
            if self.stop.wanted:
                self._keep("stopped")
                return exits.STOPPED
            if self._is_due(progress):
                self._keep_if_disk_allows()
        self._finish()
        return exits.DONE

    def _note_retries(self) -> None:
        """Write down where memory ran out and the run went on with smaller minibatches."""
        trainer = self.assembly.trainer if hasattr(self, "assembly") else None
        for retry in trainer.oom_retries[self._retries_noted :] if trainer else ():
            facts = {"update": retry.update, "asked": retry.asked, "used": retry.used, "error": retry.error}
            self.recorder.note(
                "out of memory: the update is repeated with more, smaller minibatches", **facts
            )
            self._retries_noted += 1

    def _note_speed(self, progress: Progress) -> None:
        batch, (steps, seconds) = self.assembly.trainer.config.batch_size, self._trained
        self._trained = (steps + batch, seconds + batch / progress.steps_per_second)

    def _speed(self) -> dict[str, float | None]:
        """What was predicted when the job was submitted, and what its updates took in this attempt."""
        predicted = self.recorder.job.estimate.get("time", {}).get("steps_per_second", {}).get("likely")
        steps, seconds = self._trained
        measured = steps / seconds if seconds else None
        return {"predicted_steps_per_second": predicted, "measured_steps_per_second": measured}

    def _report(self, progress: Progress, mean_speed: float) -> None:
        left = max(0, progress.total_timesteps - progress.global_step)
        self.progress = {
            **progress.plain(),
            "seconds_left": left / mean_speed if mean_speed > 0 else None,
            "memory_bytes": memory_in_use(self.assembly.trainer.env.device),
        }
        self.recorder.progress(progress.global_step, self.progress)

    def _is_due(self, progress: Progress) -> bool:
        by_updates = progress.update - self._kept_update >= self.settings.checkpoint_every_updates
        return by_updates or time.monotonic() - self._kept_at >= self.settings.checkpoint_every_seconds

    def _keep_if_disk_allows(self, kind: str = "periodic") -> None:
        """A full disk, or a store that is away for long, costs this checkpoint, not the attempt: the one before stays."""
        try:
            self._keep(kind)
        except StoreUnavailable as error:
            self.recorder.note("checkpoint not kept: the artifact store does not take it", error=error.detail)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            self.recorder.note("checkpoint not written: the disk is full", error=str(error.strerror))
        self._note_kept()  # the next one is tried when it is due

    def _keep(self, kind: str) -> None:
        trainer = self.assembly.trainer
        self.recorder.keep(self.assembly.contents(), kind, trainer.global_step, {})
        self._note_kept()

    def _note_kept(self) -> None:
        self._kept_at, self._kept_update = time.monotonic(), self.assembly.trainer.update

    def _finish(self) -> None:
        """Evaluate first: the final checkpoint's row carries its figures, of several datasets the means."""
        evaluations = self._evaluate_within_memory()
        metrics = mean_figures(list(evaluations.values()))
        self._draw()
        self.recorder.finish(
            self.assembly.contents(),
            self.assembly.trainer.global_step,
            metrics,
            lambda checkpoint: self._result(checkpoint, evaluations),
        )

    def _result(self, checkpoint: Checkpoint, evaluations: Mapping[str, Evaluation]) -> dict[str, Any]:
        return {
            "checkpoint_id": checkpoint.id,
            "bytes": checkpoint.bytes,
            "predicted_bytes": checkpoint.predicted_bytes,
            "global_step": self.assembly.trainer.global_step,
            "num_minibatches": {
                "asked": self.assembly.plan.ppo.num_minibatches,
                "used": self.assembly.trainer.config.num_minibatches,
            },
            "evaluations": {key: evaluation.summary() for key, evaluation in evaluations.items()},
            "speed": self._speed(),
            "last_progress": self.progress,
        }

    def _evaluate_within_memory(self) -> dict[str, Evaluation]:
        """Where memory runs out, what was trained is kept, so that the job resumed has only this left to do."""
        trainer = self.assembly.trainer
        trainer.release()
        try:
            with memory_errors(trainer.config, trainer.env.device):
                return self._evaluate()
        except OutOfDeviceMemory as error:
            short = OutOfDeviceMemory(
                f"all training is done, but memory ran out while the policy was evaluated: {error.detail}",
                hint="free memory on this machine, or give the queue a larger device, and resume the job: "
                "only its evaluation is left",
                **error.extra,
            )
        # Out here, as the exception holds on to all that the evaluation had allocated.
        trainer.release()
        self._keep_if_disk_allows("stopped")
        raise short

    def _evaluate(self) -> dict[str, Evaluation]:
        """Open the test spans, judge the policy on them, and write the report."""
        datasets = self.assembly.plan.datasets
        trials = {dataset.id: self.recorder.open_test_span(dataset) for dataset in datasets}
        examined = self.assembly.examine(trials)
        self.recorder.keep_evaluations(examined)
        return {dataset_id: each.evaluation for dataset_id, each in examined.items()}

    def _draw(self) -> None:
        try:
            draw_charts(self.database, self.storage, self.recorder.job, self.hold)
        except Exception as error:  # noqa: BLE001 - a picture is not worth a trained policy
            self.recorder.note("the evaluation's picture was not drawn", error=repr(error))


def progress_pause(elapsed: float) -> float:
    """Seconds between two progress records of a run that has lasted so long."""
    return min(PROGRESS_SECONDS_MAX, max(PROGRESS_SECONDS, elapsed / PROGRESS_RECORDS))


def main(job_id: str, fence: int, supervisor: int) -> int:
    """Train the claimed job for the supervisor of this process id; the exit code tells it how it ended."""
    if not die_with_parent(supervisor):
        return exits.DONE
    settings = get_settings()
    # To the worker's own output: what it writes to stderr is its last words, which the supervisor reads.
    configure_logs(settings, "trainer", lambda: sys.stdout)
    bind_ids(job_id=job_id, fence=fence)
    stop = StopFlag()
    stop.listen()
    database = Database(settings.database_url)
    try:
        # Not from the start: what making the markets frees goes back to the system.
        return TrainingRun(settings, database, Hold(job_id, fence), stop, keep_freed_memory).execute()
    finally:
        database.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
