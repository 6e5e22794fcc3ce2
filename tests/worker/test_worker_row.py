"""A worker's row in the registry, kept by its consumer's own loop, and the way out that is read from it."""

import os
import signal
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from app.registry.database import Database
from app.registry.tables import Worker
from app.registry.workers import (
    Drain,
    ask_to_leave,
    describe_worker,
    known_workers,
    live_workers,
)
from worker import presence as presences
from worker import supervise
from worker.presence import Presence

DESCRIBE = partial(describe_worker, "caliper@one", ["caliper.cpu", "caliper.low"], "cpu", {"name": "CPU"}, {})


class Consumer:
    """Celery's consumer: a timer that is turned by hand, and queues that are consumed until they are cancelled."""

    def __init__(self) -> None:
        self.consumed = {"caliper.cpu": 1, "caliper.low": 1}
        self.turns: list[Callable[[], None]] = []
        self.app = SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=self.consumed)))
        self.timer = SimpleNamespace(call_repeatedly=lambda _seconds, turn: self.turns.append(turn))

    def cancel_task_queue(self, name: str) -> None:
        del self.consumed[name]


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


@pytest.fixture
def presence(registry: Database, consumer: Consumer) -> Presence:
    presence = Presence(10.0)
    assert not presence.has_begun
    presence.begin(consumer, registry, DESCRIBE)
    return presence


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Signals that were sent."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *given: sent.append(given))
    yield sent
    supervise._stopping[0] = 0


def live(registry: Database) -> list[Worker]:
    with registry.read() as session:
        return list(live_workers(session, 60))


def ask(registry: Database, drain: Drain) -> None:
    with registry.write() as session:
        ask_to_leave(session, "caliper@one", drain, 60)


def test_a_worker_that_started_while_the_registry_was_away_registers_with_its_first_heartbeat(
    registry: Database, presence: Presence
) -> None:
    for _ in range(2):
        presence.beat()
        assert [worker.id for worker in live(registry)] == ["caliper@one"]
    with registry.write() as session:
        session.delete(session.get_one(Worker, "caliper@one"))
    presence.beat()
    assert len(live(registry)) == 1


def test_a_worker_that_ends_is_known_to_have_left(registry: Database, presence: Presence) -> None:
    presence.end()
    assert live(registry) == []
    with registry.read() as session:
        assert [worker.id for worker in known_workers(session)] == ["caliper@one"]


@pytest.mark.parametrize("drain", Drain)
def test_an_idle_worker_that_is_to_leave_consumes_no_more_and_stops(
    registry: Database, presence: Presence, consumer: Consumer, killed: list[Any], drain: Drain
) -> None:
    presence.beat()
    assert (len(consumer.consumed), killed) == (2, [])
    ask(registry, drain)
    presence.beat()
    assert consumer.consumed == {}
    assert killed == [(os.getpid(), signal.SIGTERM)]


def test_a_busy_worker_ends_its_job_first_and_hands_it_back_when_that_is_wished(
    registry: Database,
    presence: Presence,
    consumer: Consumer,
    killed: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = {"a request"}
    monkeypatch.setattr(presences.state, "reserved_requests", held)
    ask(registry, Drain.DONE)
    presence.beat()
    assert (consumer.consumed, killed, supervise._stopping[0]) == ({}, [], 0)
    ask(registry, Drain.NOW)
    presence.beat()
    presence.beat()
    assert (killed, supervise._stopping[0]) == ([], 1)
    held.clear()
    presence.beat()
    assert killed == [(os.getpid(), signal.SIGTERM)]
