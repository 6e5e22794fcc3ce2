"""The repeated actions: they go on whatever happens, and end when they are told to."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from running_service import eventually
from structlog.testing import capture_logs

from app.api.background import Repeated
from app.errors import Unavailable

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
