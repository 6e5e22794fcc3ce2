"""What a training run writes down, each line guarded by its fence."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from app.checkpoint.inspect import inspect_checkpoint
from app.errors import CaliperError, StoreUnavailable, Unavailable
from app.jobs.lifecycle import Outcome
from app.jobs.plan import PlannedDataset
from app.market.returns import SpanReturns
from app.market.significance import Trials
from app.registry.attempts import Hold, fail_job, finish_job, holds_job, note_versions
from app.registry.checkpoint_lists import list_checkpoints
from app.registry.checkpoints import add_checkpoint, delete_checkpoint, point_job_at
from app.registry.database import Database, Session, new_id
from app.registry.evaluations import add_evaluation, open_test_span
from app.registry.events import record_event
from app.registry.measured import add_job_metrics
from app.registry.metrics import forget_metrics_after, record_progress
from app.registry.tables import Checkpoint, Job
from app.storage import Storage, Stored, hash_file
from worker.save import SavedCheckpoint, save_checkpoint
from worker.trading.evaluate import Examined

log = structlog.get_logger()
Answer = TypeVar("Answer")


class HoldLost(Exception):
    """The job is another worker's by now; this run must end without a word."""


@dataclass
class Recorder:
    """Writes for one hold on one job; every method raises HoldLost once the job is another's.

    A registry that does not answer is asked again for `patience` seconds, then Unavailable is raised.
    """

    database: Database
    storage: Storage
    job: Job
    hold: Hold
    patience: float
    parent_id: str | None = None
    commit: str | None = None
    """The commit of the source that trains; None where it is not known."""

    def note(self, message: str, **facts: Any) -> None:
        """Add a line to the job's log."""
        log.info(message, job_id=self.job.id, **facts)

        def write(session: Session) -> bool:
            held = holds_job(session, self.hold)
            if held:
                record_event(session, self.job.id, "log", {"message": message, **facts})
            return held

        self._write(write)

    def note_versions(self, versions: Mapping[str, str]) -> None:
        """Note what runs this attempt; the checkpoints that it registers name its commit too."""
        self.commit = versions.get("commit")
        self._write(lambda session: note_versions(session, self.hold, versions))

    def progress(self, step: int, values: Mapping[str, Any]) -> None:
        """Note where the run is; one point lost to a silent registry does no harm."""
        try:
            with self.database.write() as session:
                held = record_progress(session, self.hold, step, values)
        except Unavailable as error:
            log.warning("progress not recorded", job_id=self.job.id, error=error.detail)
        else:
            _require(held)

    def forget_metrics_after(self, step: int) -> None:
        """Drop the points that this attempt measures again."""

        def write(session: Session) -> bool:
            held = holds_job(session, self.hold)
            if held:
                forget_metrics_after(session, self.job.id, step)
            return held

        self._write(write)

    def keep(
        self, contents: Mapping[str, Any], kind: str, step: int, metrics: Mapping[str, Any]
    ) -> Checkpoint:
        """Save, read back, store and register a checkpoint, and let the job resume from it."""
        row = self._save(contents, kind, step, metrics)
        self._release(self._write(lambda session: self._register(session, row)))
        self.parent_id = row.id
        return row

    def finish(
        self,
        contents: Mapping[str, Any],
        step: int,
        metrics: Mapping[str, Any],
        describe: Callable[[Checkpoint], Mapping[str, Any]],
    ) -> Checkpoint:
        """Register the final checkpoint and record success with the result that `describe` makes of it.

        Both in one transaction: a worker that dies in between would leave a final checkpoint of a job that is not
        done, and the next attempt would make a second one.
        """
        row = self._save(contents, "final", step, metrics)

        def write(session: Session) -> list[str] | None:
            freed = self._register(session, row)
            if freed is None or not finish_job(session, self.hold, describe(row)):
                return None
            add_job_metrics(session, self.job.id, metrics)
            return freed

        self._release(self._write(write))
        return row

    def open_test_span(self, dataset: PlannedDataset) -> Trials:
        """Note that the run is about to look at a dataset's test span; what was tried on it so far."""
        asked = (dataset.id, dataset.sha256, dataset.fold.test)
        return self._write(lambda session: open_test_span(session, self.hold, *asked))

    def keep_evaluations(self, examined: Mapping[str, Examined]) -> None:
        """Store how the policy was judged on each dataset, in place of an earlier attempt's evaluation."""
        returns = {dataset_id: self._store(each.returns) for dataset_id, each in examined.items()}

        def write(session: Session) -> bool:
            return all(
                add_evaluation(
                    session,
                    self.hold,
                    dataset_id,
                    place=place,
                    evaluation=each.evaluation,
                    curves=each.curves,
                    returns_sha256=returns[dataset_id],
                )
                for place, (dataset_id, each) in enumerate(examined.items())
            )

        self._write(write)

    def fail(self, error: CaliperError) -> None:
        """Record a failure that a further attempt would only repeat."""
        problem = {"code": error.code, "detail": error.detail, "hint": error.hint, **error.extra}
        self._write(lambda session: fail_job(session, self.hold, problem, Outcome.FAILED))

    def _save(
        self, contents: Mapping[str, Any], kind: str, step: int, metrics: Mapping[str, Any]
    ) -> Checkpoint:
        """Write the file to its place; its row is not yet in the registry."""
        with self.storage.receive() as path:
            saved = save_checkpoint(path, contents)
            row = self._describe(saved, kind, step, metrics)
            self.storage.adopt(path, Stored(saved.sha256, saved.bytes), f"{row.id}.pt")
        return row

    def _release(self, hashes: Sequence[str]) -> None:
        for sha256 in hashes:
            try:
                self.storage.remove(sha256)
            except StoreUnavailable as error:  # no row names it any more: the sweep will take it
                log.warning("an old checkpoint's bytes were not removed", error=error.detail)

    def _store(self, returns: SpanReturns) -> str:
        with self.storage.receive() as path:
            returns.save(path)
            stored = hash_file(path)
            self.storage.adopt(path, stored)
        return stored.sha256

    def _describe(
        self, saved: SavedCheckpoint, kind: str, step: int, metrics: Mapping[str, Any]
    ) -> Checkpoint:
        """The registry's row, from what the reader sees in the file: the writer is not believed."""
        report = inspect_checkpoint(
            saved.path, name=f"{self.job.id}.pt", with_sha256=False, with_statistics=True
        )
        facts = report.architecture
        return Checkpoint(
            id=new_id("checkpoint"),
            name=self.job.name,
            kind=kind,
            sha256=saved.sha256,
            bytes=saved.bytes,
            predicted_bytes=self.job.predicted_bytes,
            producer=report.producer,
            obs_dim=facts.obs_dim.value,
            hidden_dims=self.job.hidden_dims,
            action_dim=facts.action_dim.value,
            parameters=report.parameters,
            step=step,
            config=report.config,
            versions={**(report.versions or {}), **({"commit": self.commit} if self.commit else {})},
            metrics=dict(metrics),
            report={**report.plain(), "sha256": saved.sha256},
            job_id=self.job.id,
            key_id=self.job.key_id,
            dataset_id=self.job.dataset_id,
            parent_id=self.parent_id,
        )

    def _register(self, session: Session, row: Checkpoint) -> list[str] | None:
        """Add the row and drop the job's older passing checkpoints; the hashes whose bytes may go."""
        if not holds_job(session, self.hold):
            return None
        if session.get(Checkpoint, row.id) is not None:
            return []  # a commit whose answer was lost: it is there
        older = list_checkpoints(session, limit=100, filters={"job_id": self.job.id})
        add_checkpoint(session, row)
        point_job_at(session, self.hold, row.id)
        facts = {"id": row.id, "kind": row.kind, "step": row.step, "bytes": row.bytes}
        record_event(session, self.job.id, "checkpoint", {**facts, "predicted_bytes": row.predicted_bytes})
        passing = [checkpoint for checkpoint in older if checkpoint.kind == "periodic"]
        return [c.sha256 for c in passing if delete_checkpoint(session, c) and c.sha256 != row.sha256]

    def _write(self, work: Callable[[Session], Answer | None]) -> Answer:
        """Run `work` in a transaction, patiently; a falsy answer but an empty list means the hold is lost."""
        return _require(self.database.write_patiently(work, self.patience))


def _require(answer: Answer | None) -> Answer:
    if answer is None or answer is False:
        raise HoldLost
    return answer
