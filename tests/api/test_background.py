"""The repeated actions: they go on whatever happens, and end when they are told to."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from factories import small_spec, upload_googl
from running_service import eventually, running
from structlog.testing import capture_logs

from app.actions.submit_job import submit_job
from app.api.background import Repeated
from app.errors import Unavailable
from app.queue import Queue
from app.registry.attempts import claim_job, list_attempts
from app.registry.database import Database
from app.registry.outbox import drop_messages, next_messages
from app.settings import Settings
from app.storage import FolderStorage

LONG = 3_600.0


class Turns:
    """An action that raises what it is given, turn by turn, and then does nothing."""

    def __init__(self, *results: Exception | None) -> None:
        self.results = list(results)
        self.count = 0

    def __call__(self) -> None:
        self.count += 1
        result = self.results.pop(0) if self.results else None
        if result is not None:
            raise result


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Callable[..., Repeated]:
    def begin(action: Callable[[], object], seconds: float) -> Repeated:
        repeated = Repeated("test", action, seconds)
        request.addfinalizer(repeated.stop)
        repeated.start()
        return repeated

    return begin


def test_the_first_turn_comes_at_once_and_the_next_by_waking(start: Any) -> None:
    turns = Turns()
    repeated = start(turns, LONG)
    eventually(lambda: turns.count == 1)
    repeated.wake()
    eventually(lambda: turns.count == 2)


def test_turns_follow_each_other_by_time(start: Any) -> None:
    turns = Turns()
    start(turns, 0.001)
    eventually(lambda: turns.count >= 5)


def test_an_unavailable_part_is_told_once_and_waited_for() -> None:
    turns = Turns(Unavailable("away"), Unavailable("away"), Unavailable("away"), None)
    with capture_logs() as logs:
        repeated = Repeated("relay", turns, 0.001)
        repeated.start()
        eventually(lambda: turns.count >= 6)
        repeated.stop()
    assert [(entry["log_level"], entry["loop"]) for entry in logs] == [
        ("warning", "relay"),
        ("info", "relay"),
    ]
    assert logs[0]["error"] == "away"


def test_any_other_error_is_logged_with_its_trace_and_survived() -> None:
    turns = Turns(RuntimeError("a bug"))
    with capture_logs() as logs:
        repeated = Repeated("sweep", turns, 0.001)
        repeated.start()
        eventually(lambda: turns.count >= 3)
        repeated.stop()
    assert [(entry["event"], entry["exc_info"]) for entry in logs] == [("a turn failed", True)]


def test_stop_lets_the_turn_end_and_begins_no_other(start: Any) -> None:
    entered, leave, done = threading.Event(), threading.Event(), []

    def turn() -> None:
        entered.set()
        leave.wait(20)
        done.append(1)

    repeated = start(turn, 0.0)
    assert entered.wait(20)
    stopper = threading.Thread(target=repeated.stop)
    stopper.start()
    leave.set()
    stopper.join(20)
    assert done == [1]
    repeated.wake()
    assert done == [1]


def test_a_redis_that_hangs_does_not_delay_the_notice_of_a_lost_worker(
    settings: Settings, registry: Database, storage: FolderStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep waits for it for as long as it hangs; the reaper is a loop of its own."""
    upload_googl(registry, storage, settings)
    hangs, released = threading.Event(), threading.Event()

    def hang(*_: object) -> int:
        hangs.set()
        released.wait(60)
        return 0

    lost, job_id = (submit_job(registry, settings, small_spec(seed=seed)).job.id for seed in (1, 2))
    with registry.write() as session:  # a job without a wake-up: the sweep asks Redis about it, and hangs
        drop_messages(session, [each.id for each in next_messages(session, 9) if each.job_id == lost])
    monkeypatch.setattr(Queue, "length", hang)
    with running(settings):
        assert hangs.wait(30)
        with registry.write() as session:
            assert claim_job(session, job_id, "worker", -1.0) is not None
        try:
            eventually(lambda: outcomes(registry, job_id) == ["worker_lost"])
        finally:
            released.set()


def outcomes(registry: Database, job_id: str) -> list[str | None]:
    with registry.read() as session:
        return [attempt.outcome for attempt in list_attempts(session, job_id)]
