"""The supervisor with real trainer processes: every way that an attempt can end."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from factories import small_spec, upload_googl

from app.actions.cancel_job import cancel_job
from app.actions.submit_job import submit_job
from app.jobs.lifecycle import REQUEUE
from app.registry.attempts import (
    list_attempts,
    move_job,
)
from app.registry.checkpoint_lists import list_checkpoints
from app.registry.claims import Seat
from app.registry.database import Database
from app.registry.jobs import get_job, resume
from app.registry.late_holders import (
    expired_leases,
)
from app.registry.tables import Job
from app.settings import Settings
from app.storage import Storage
from worker import supervise
from worker.supervise import describe_crash, last_words, supervise_next

pytestmark = pytest.mark.slow  # a trainer process for each test

SEAT = Seat("worker", ("caliper.cpu",))
LONG = {"total_timesteps": 50_000_000}
"""More than any test waits for."""


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def no_stop() -> Iterator[None]:
    yield
    supervise._stopping[0] = 0


@pytest.fixture
def submit(registry: Database, storage: Storage, settings: Settings) -> Callable[..., Job]:
    upload_googl(registry, storage, settings)
    return lambda **values: submit_job(registry, settings, small_spec(**values)).job


def job_of(registry: Database, job: Job) -> Job:
    with registry.read() as session:
        return get_job(session, job.id)


def in_background(settings: Settings) -> threading.Thread:
    thread = threading.Thread(target=supervise_next, args=(SEAT, settings), daemon=True)
    thread.start()
    return thread


def wait_for_progress(registry: Database, job: Job) -> None:
    deadline = time.monotonic() + 90
    while not job_of(registry, job).progress:
        assert time.monotonic() < deadline, "the trainer never reported"
        time.sleep(0.05)


def trainers(job: Job) -> list[int]:
    """Pids of trainer processes of this job, as the system sees them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"worker.run" in words and job.id.encode() in words:
                found.append(int(entry.name))
    return found


def test_a_job_runs_to_its_end(registry: Database, settings: Settings, submit: Callable[..., Job]) -> None:
    job = submit()
    supervise_next(SEAT, settings)
    assert job_of(registry, job).state == "succeeded"
    assert trainers(job) == []


@pytest.fixture
def watches(monkeypatch: pytest.MonkeyPatch) -> list[supervise.Watch]:
    """Those that watch a trainer, as they begin."""
    found: list[supervise.Watch] = []
    begin = supervise.Watch.until_end
    monkeypatch.setattr(supervise.Watch, "until_end", lambda watch: (found.append(watch), begin(watch))[1])
    return found


def test_a_trainer_leaves_by_itself_after_its_end(
    registry: Database,
    settings: Settings,
    submit: Callable[..., Job],
    watches: list[supervise.Watch],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is looked at so often that one look falls between the end's record and the process's."""
    monkeypatch.setattr(supervise, "POLL_SECONDS", 0.001)
    job = submit()
    supervise_next(SEAT, settings)
    assert job_of(registry, job).state == "succeeded"
    assert [(watch.killed, watch.lost, watch.trainer.returncode) for watch in watches] == [(False, False, 0)]


def test_one_that_does_not_leave_is_killed(
    registry: Database,
    settings: Settings,
    submit: Callable[..., Job],
    watches: list[supervise.Watch],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervise, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(supervise, "EXIT_SECONDS", 0.0)
    job = submit()
    supervise_next(SEAT, settings)
    assert job_of(registry, job).state == "succeeded"
    assert [(watch.killed, watch.trainer.returncode) for watch in watches] == [(True, -signal.SIGKILL)]


def test_a_doubled_message_finds_nothing_to_claim(
    registry: Database, settings: Settings, submit: Callable[..., Job]
) -> None:
    job = submit()
    supervise_next(SEAT, settings)
    supervise_next(SEAT, settings)
    assert job_of(registry, job).attempt == 1


def test_cancelling_checkpoints_and_stops(
    registry: Database, settings: Settings, submit: Callable[..., Job]
) -> None:
    job = submit(**LONG)
    thread = in_background(settings)
    wait_for_progress(registry, job)
    cancel_job(registry, job.id)
    thread.join(30)
    done = job_of(registry, job)
    assert done.state == "cancelled"
    with registry.read() as session:
        (checkpoint,) = list_checkpoints(session, limit=9, filters={"job_id": job.id})
        assert [a.reason for a in list_attempts(session, job.id)] == ["cancelled: checkpointed and stopped"]
    assert checkpoint.id == done.resume_from
    assert checkpoint.kind == "stopped"
    assert trainers(job) == []


def test_at_its_deadline_a_job_checkpoints_fails_and_goes_on_when_it_is_resumed(
    registry: Database, settings: Settings, submit: Callable[..., Job], watches: list[supervise.Watch]
) -> None:
    job = submit(**LONG, max_hours=10.0)
    thread = in_background(settings)
    wait_for_progress(registry, job)
    assert watches[0].seconds_left == 36_000
    watches[0].seconds_left = 0.0  # ten hours have passed
    thread.join(30)
    done = job_of(registry, job)
    assert (done.state, (done.error or {})["code"]) == ("failed", "deadline")
    assert (done.error or {})[
        "detail"
    ] == "its limit of 10 h of training is used up: checkpointed and stopped"
    with registry.read() as session:
        (checkpoint,) = list_checkpoints(session, limit=9, filters={"job_id": job.id})
    assert (checkpoint.kind, checkpoint.id) == ("stopped", done.resume_from)
    assert trainers(job) == []
    with registry.write() as session:
        assert resume(session, job.id).used_seconds == 0
    assert job_of(registry, job).resume_from == checkpoint.id


def test_a_killed_trainer_is_a_crash_and_the_job_waits_again(
    registry: Database, settings: Settings, submit: Callable[..., Job]
) -> None:
    job = submit(**LONG, max_attempts=2)
    for attempt in (1, 2):
        with registry.write() as session:
            session.get_one(Job, job.id).progress = {}
        thread = in_background(settings)
        wait_for_progress(registry, job)
        for pid in trainers(job):
            os.kill(pid, signal.SIGKILL)
        thread.join(30)
        assert job_of(registry, job).failures == 1
        assert job_of(registry, job).state == ("queued" if attempt == 1 else "failed")
    error = job_of(registry, job).error
    assert error is not None
    assert error["code"] == "crashed"
    assert "signal 9" in error["detail"]


def test_a_stopping_worker_hands_the_job_back_with_a_checkpoint(
    registry: Database, settings: Settings, submit: Callable[..., Job]
) -> None:
    job = submit(**LONG)
    thread = in_background(settings)
    wait_for_progress(registry, job)
    supervise.announce_stop()
    thread.join(30)
    left = job_of(registry, job)
    assert (left.state, left.failures) == ("queued", 0)
    assert left.resume_from is not None


def test_a_trainer_stopped_before_it_was_ready_costs_no_attempt(
    registry: Database, settings: Settings, submit: Callable[..., Job]
) -> None:
    job = submit(**LONG)
    supervise.announce_stop()
    supervise_next(SEAT, settings)
    left = job_of(registry, job)
    assert (left.state, left.failures, left.attempt) == ("queued", 0, 1)
    with registry.read() as session:
        (attempt,) = list_attempts(session, job.id)
    assert attempt.outcome == "interrupted"


def test_a_trainer_whose_job_was_given_away_is_killed(
    registry: Database, settings: Settings, submit: Callable[..., Job]
) -> None:
    job = submit(**LONG)
    thread = in_background(settings)
    wait_for_progress(registry, job)
    with registry.write() as session:
        assert move_job(session, job.id, REQUEUE, values={}) is not None
    thread.join(30)
    assert not thread.is_alive()
    assert trainers(job) == []
    assert job_of(registry, job).state == "queued"


def test_heartbeats_keep_the_lease_alive(
    registry: Database, settings: Settings, submit: Callable[..., Job]
) -> None:
    job = submit(**LONG)
    thread = in_background(settings)
    wait_for_progress(registry, job)
    with registry.read() as session:
        before = get_job(session, job.id).lease_expires_at
    deadline = time.monotonic() + 10
    while job_of(registry, job).lease_expires_at == before:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with registry.read() as session:
        assert expired_leases(session) == []
    cancel_job(registry, job.id)
    thread.join(30)


@pytest.mark.parametrize(
    ("code", "tail", "words"),
    [
        (-9, "", "signal 9"),
        (-11, "", "SIGSEGV"),
        (1, "Traceback\nValueError: bad\n", "exit code 1: ValueError: bad"),
    ],
)
def test_a_crash_is_described_by_its_cause(code: int, tail: str, words: str) -> None:
    assert words in describe_crash(code, tail)


def test_the_last_words_of_a_trainer_are_lines_of_bounded_length() -> None:
    assert last_words("") == []
    assert last_words("Traceback\n  here\n") == ["stderr: Traceback", "stderr:   here"]
    words = last_words("\n".join(f"{n} {'x' * 900}" for n in range(50)))
    assert [line.split()[1] for line in words] == [str(n) for n in range(30, 50)]
    assert max(map(len, words)) == len("stderr: ") + 500
