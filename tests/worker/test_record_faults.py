"""What a run writes down while registry and disk fail under it."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from factories import small_spec, upload_googl

from app.actions.submit_job import submit_job
from app.errors import Unavailable
from app.registry import database as database_room
from app.registry.attempts import Claim, claim_job, interrupt_job
from app.registry.checkpoint_lists import list_checkpoints
from app.registry.database import Database, Session
from app.registry.events import events_after
from app.registry.jobs import get_job
from app.registry.metrics import list_metrics, record_progress
from app.registry.tables import Job
from app.settings import Settings
from app.storage import Storage
from worker import exits, record
from worker.record import HoldLost, Recorder
from worker.run import StopFlag, TrainingRun


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
