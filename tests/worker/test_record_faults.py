"""What a run writes down while registry and disk fail under it."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from factories import small_spec, upload_googl

from app.actions.submit_job import submit_job
from app.errors import StoreUnavailable, Unavailable
from app.jobs.lifecycle import Outcome
from app.registry import database as database_room
from app.registry.attempts import Claim, claim_job, interrupt_job, list_attempts, lose_attempt
from app.registry.checkpoint_lists import list_checkpoints
from app.registry.checkpoints import find_checkpoint
from app.registry.database import Database, Session
from app.registry.evaluations import list_evaluations
from app.registry.events import events_after
from app.registry.jobs import get_job
from app.registry.metrics import list_metrics, record_progress
from app.registry.tables import Job
from app.settings import Settings
from app.storage import FolderStorage, Storage, Stored
from worker import chart, exits, record
from worker import run as run_room
from worker.record import HoldLost, Recorder
from worker.run import StopFlag, TrainingRun
from worker.supervise import Watch, settle


class TornDatabase(Database):
    """Every second commit happens, and its answer is lost."""

    writes = 0

    @contextmanager
    def write(self) -> Iterator[Session]:
        with super().write() as session:
            yield session
        self.writes += 1
        if self.writes % 2:
            raise Unavailable("the connection broke after the commit")


class RestartingDatabase(Database):
    """Every second transaction finds nobody, as while the database starts again."""

    asked = 0

    @contextmanager
    def read(self) -> Iterator[Session]:
        self._answer_or_not()
        with super().read() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        self._answer_or_not()
        with super().write() as session:
            yield session

    def _answer_or_not(self) -> None:
        self.asked += 1
        if self.asked % 2:
            raise Unavailable("connection refused")


@pytest.fixture
def job(registry: Database, storage: Storage, settings: Settings) -> Job:
    upload_googl(registry, storage, settings)
    return submit_job(registry, settings, small_spec()).job


def claim(registry: Database, job: Job) -> Claim:
    with registry.write() as session:
        taken = claim_job(session, job.id, "worker", 60)
    assert taken is not None
    return taken


def run(settings: Settings, database: Database, taken: Claim) -> int:
    return TrainingRun(settings, database, taken.hold, StopFlag()).execute()


def kinds(registry: Database, job: Job) -> list[str]:
    with registry.read() as session:
        return [c.kind for c in list_checkpoints(session, limit=9, filters={"job_id": job.id})]


def test_commits_whose_answers_are_lost_make_nothing_twice(
    registry: Database, settings: Settings, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_room, "RETRY_SECONDS", 0.0)
    torn = TornDatabase(settings.database_url)
    taken = claim(registry, job)
    assert run(settings.model_copy(update={"checkpoint_every_updates": 1}), torn, taken) == exits.DONE
    torn.close()
    with registry.read() as session:
        assert get_job(session, job.id).state == "succeeded"
    assert kinds(registry, job) == ["final"]


def test_a_worker_that_dies_at_the_very_end_leaves_no_second_final_checkpoint(
    registry: Database, settings: Settings, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> bool:
        raise MemoryError

    with monkeypatch.context() as dying, pytest.raises(MemoryError):
        dying.setattr(record, "finish_job", die)
        run(settings, registry, taken := claim(registry, job))
    assert kinds(registry, job) == []
    with registry.write() as session:
        interrupt_job(session, taken.hold, "gone")
    assert run(settings, registry, claim(registry, job)) == exits.DONE
    assert kinds(registry, job) == ["final"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
def test_a_full_disk_costs_a_checkpoint_and_not_the_attempt(
    registry: Database, settings: Settings, job: Job, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    save, asked = record.save_checkpoint, []

    def refuse_first(*arguments: Any) -> Any:
        asked.append(arguments)
        if len(asked) == 1:
            raise OSError(number, "No space left on device")
        return save(*arguments)

    monkeypatch.setattr(record, "save_checkpoint", refuse_first)
    often = settings.model_copy(update={"checkpoint_every_updates": 1})
    assert run(often, registry, claim(registry, job)) == exits.DONE
    assert len(asked) == 4
    assert kinds(registry, job) == ["final"]
    with registry.read() as session:
        said = [e.data.get("message") for e in events_after(session, job.id, 0, 99, ["log"])]
    assert "checkpoint not written: the disk is full" in said


def test_a_store_that_is_away_costs_a_checkpoint_and_not_the_attempt(
    registry: Database, settings: Settings, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the bounded time of its own retries the store gives up; nothing of the file stays in the way."""
    adopt, asked = FolderStorage.adopt, []

    def refuse_second(storage: FolderStorage, path: Path, stored: Stored, name: str = "") -> None:
        asked.append(name)
        if len(asked) == 2:
            raise StoreUnavailable("the artifact store did not take a file")
        adopt(storage, path, stored, name)

    monkeypatch.setattr(FolderStorage, "adopt", refuse_second)
    often = settings.model_copy(update={"checkpoint_every_updates": 1})
    assert run(often, registry, claim(registry, job)) == exits.DONE
    assert kinds(registry, job) == ["final"]
    with registry.read() as session:
        said = [e.data.get("message") for e in events_after(session, job.id, 0, 99, ["log"])]
    assert "checkpoint not kept: the artifact store does not take it" in said
    assert list(FolderStorage(settings.artifacts_dir).incoming.iterdir()) == []


def test_old_bytes_that_a_store_does_not_delete_are_left_to_the_sweep(
    registry: Database, settings: Settings, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise StoreUnavailable("the artifact store did not delete a file")

    monkeypatch.setattr(FolderStorage, "remove", refuse)
    often = settings.model_copy(update={"checkpoint_every_updates": 1})
    assert run(often, registry, claim(registry, job)) == exits.DONE
    assert kinds(registry, job) == ["final"]


def test_another_error_of_the_disk_ends_the_attempt(
    registry: Database, settings: Settings, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(record, "save_checkpoint", refuse)
    often = settings.model_copy(update={"checkpoint_every_updates": 1})
    with pytest.raises(OSError, match="Input/output"):
        run(often, registry, claim(registry, job))


def test_a_stale_run_does_not_drop_its_successors_measurements(
    registry: Database, storage: Storage, job: Job
) -> None:
    old = claim(registry, job)
    with registry.write() as session:
        interrupt_job(session, old.hold, "gone")
    new = claim(registry, job)
    with registry.write() as session:
        assert record_progress(session, new.hold, 256, {"loss": 1.0})
    with pytest.raises(HoldLost):
        Recorder(registry, storage, job, old.hold, 0).forget_metrics_after(0)
    with registry.read() as session:
        assert len(list_metrics(session, job.id, names=None, after_step=0, limit=9)) == 1


def test_a_stale_run_does_not_replace_its_successors_pictures(
    registry: Database, storage: Storage, settings: Settings, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = claim(registry, job)
    with registry.write() as session:
        interrupt_job(session, old.hold, "gone")
    assert run(settings, registry, claim(registry, job)) == exits.DONE
    with registry.read() as session:
        drawn = [row.chart_sha256 for row in list_evaluations(session, job.id)]
    monkeypatch.setattr(chart, "draw_chart", lambda _asset, _name, path: path.write_bytes(b"stale"))
    chart.draw_charts(registry, storage, job, old.hold)
    with registry.read() as session:
        assert [row.chart_sha256 for row in list_evaluations(session, job.id)] == drawn
    assert drawn[0] is not None
    storage.find(drawn[0])


def test_a_registry_that_restarts_while_a_trainer_reads_its_job_costs_no_attempt(
    registry: Database, settings: Settings, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its reads finds nobody at first: of the job, its bars, the checkpoint that it goes on from."""
    monkeypatch.setattr(database_room, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(run_room, "draw_charts", lambda *_: None)
    often = settings.model_copy(update={"checkpoint_every_updates": 1})
    taken = claim(registry, job)
    stop = StopFlag(wanted=True)
    assert TrainingRun(often, registry, taken.hold, stop).execute() == exits.STOPPED
    with registry.write() as session:
        interrupt_job(session, taken.hold, "the worker stops")
    again = claim(registry, job)
    assert again.resume_from is not None
    restarting = RestartingDatabase(settings.database_url)
    assert run(often, restarting, again) == exits.DONE
    restarting.close()
    with registry.read() as session:
        ended = get_job(session, job.id)
    assert (ended.state, ended.failures) == ("succeeded", 0)


@pytest.mark.parametrize(("asked", "outcome"), [(True, "interrupted"), (False, "crashed")])
def test_a_registry_that_restarts_while_a_supervisor_records_an_end_does_not_lose_it(
    registry: Database,
    settings: Settings,
    job: Job,
    monkeypatch: pytest.MonkeyPatch,
    asked: bool,
    outcome: str,
) -> None:
    monkeypatch.setattr(database_room, "RETRY_SECONDS", 0.0)
    taken = claim(registry, job)
    trainer = Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    restarting = RestartingDatabase(settings.database_url)
    watch = Watch(restarting, taken.hold, settings, trainer)
    if asked:
        watch._ask_to_stop()
    trainer.kill()
    trainer.wait()
    settle(restarting, taken.hold, watch, "")
    restarting.close()
    with registry.read() as session:
        assert get_job(session, job.id).state == "queued"
        assert [attempt.outcome for attempt in list_attempts(session, job.id)] == [outcome]


def test_a_disk_that_is_full_at_the_end_costs_the_attempt_and_not_what_was_trained(
    registry: Database, settings: Settings, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saved = record.save_checkpoint, []

    def refuse_last(*arguments: Any) -> Any:
        saved.append(arguments)
        if len(saved) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return save(*arguments)

    monkeypatch.setattr(record, "save_checkpoint", refuse_last)
    often = settings.model_copy(update={"checkpoint_every_updates": 1})
    taken = claim(registry, job)
    with pytest.raises(OSError, match="No space"):
        run(often, registry, taken)
    with registry.write() as session:
        assert lose_attempt(session, taken.hold, Outcome.CRASHED, "the trainer ended with exit code 1")
    again = claim(registry, job)
    with registry.read() as session:
        assert find_checkpoint(session, str(again.resume_from)).step == 384
    assert run(often, registry, again) == exits.DONE
    assert kinds(registry, job) == ["final"]
