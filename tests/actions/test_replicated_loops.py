"""Several API processes on one PostgreSQL: relays, reapers and sweeps that run at once do nothing twice."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from factories import make_dataset, make_job

from app.actions.relay_messages import relay_messages
from app.actions.sweep_queue import reap_leases, resend_messages
from app.errors import Unavailable
from app.registry.attempts import claim_job, list_attempts
from app.registry.database import Database
from app.registry.datasets import add_dataset
from app.registry.jobs import add_job, get_job
from app.registry.outbox import drop_messages, next_messages
from app.settings import Settings


def add_jobs(registry: Database, count: int, **values: Any) -> list[str]:
    with registry.write() as session:
        dataset = add_dataset(session, make_dataset())
        return [add_job(session, make_job(dataset, **values)).id for _ in range(count)]


class SlowQueue:
    """A broker that takes its time, and notes what it was sent by whom."""

    def __init__(self, sent: list[str], both: threading.Barrier) -> None:
        self.sent, self.both = sent, both
        self._waited = False

    def send(self, _queue: str, job_id: str, _fence: int) -> None:
        if not self._waited:
            self._waited = True
            self.both.wait(20)  # every relay holds its batch by now
        self.sent.append(job_id)


@pytest.fixture
def replicas(migrated_postgresql: str) -> Iterator[list[Database]]:
    databases = [Database(migrated_postgresql) for _ in range(3)]
    yield databases
    for database in databases:
        database.close()


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Run the works beside each other; their results."""
    results: list[Any] = [None] * len(works)

    def run(place: int) -> None:
        results[place] = works[place]()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_two_relays_at_once_publish_every_message_once(
    replicas: list[Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.actions.relay_messages.BATCH", 10)
    jobs = add_jobs(replicas[0], 25)
    sent: list[str] = []
    both = threading.Barrier(2)
    queues: list[Any] = [SlowQueue(sent, both) for _ in range(2)]
    counts = at_once(*(lambda n=n: relay_messages(replicas[n], queues[n]) for n in range(2)))
    assert counts == [10, 10]
    assert sorted(sent) == sorted(jobs)[:20]
    assert relay_messages(replicas[2], queues[0]) == 5
    assert sorted(sent) == sorted(jobs)


def test_what_a_relay_could_not_send_stays_for_the_others(replicas: list[Database]) -> None:
    jobs = add_jobs(replicas[0], 3)
    sent: list[str] = []

    class Failing:
        def send(self, _queue: str, job_id: str, _fence: int) -> None:
            if sent:
                raise Unavailable("gone")
            sent.append(job_id)

    broken: Any = Failing()
    with pytest.raises(Unavailable):
        relay_messages(replicas[0], broken)
    whole: Any = SlowQueue(sent, threading.Barrier(1))
    assert relay_messages(replicas[1], whole) == 2
    assert sorted(sent) == sorted(jobs)


def test_reapers_at_once_end_each_attempt_once(replicas: list[Database], settings: Settings) -> None:
    jobs = add_jobs(replicas[0], 12, max_attempts=9)
    with replicas[0].write() as session:
        for job_id in jobs:
            assert claim_job(session, job_id, "gone", -1) is not None
    counts = at_once(*(lambda database=each: reap_leases(database, settings) for each in replicas))
    assert sum(counts) == 12
    with replicas[0].read() as session:
        for job_id in jobs:
            assert [attempt.outcome for attempt in list_attempts(session, job_id)] == ["worker_lost"]
            assert get_job(session, job_id).failures == 1
            assert get_job(session, job_id).last_event == 3


def test_sweeps_at_once_write_few_messages_too_many(replicas: list[Database], settings: Settings) -> None:
    add_jobs(replicas[0], 20)
    with replicas[0].write() as session:
        drop_messages(session, [message.id for message in next_messages(session, 99)])

    class Empty:
        def length(self, _queue: str) -> int:
            return 0

    empty: Any = Empty()
    counts = at_once(*(lambda database=each: resend_messages(database, empty, settings) for each in replicas))
    assert sum(counts) == 20
    with replicas[0].read() as session:
        assert len(next_messages(session, 99)) == 20
