"""A queue counts as consumed while idle workers take what is put there to prove it, and on no other ground."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from conftest import RedisServer
from factories import make_dataset, make_job

from app.actions.prove_consumption import OK, UNPROVEN, ConsumptionProof
from app.errors import Unavailable
from app.queue import Queue
from app.registry.attempts import claim_job
from app.registry.consumption import list_consumers, note_taken
from app.registry.database import Database
from app.registry.jobs import add_job
from app.registry.tables import Consumption, Worker
from app.registry.workers import Drain, ask_to_leave, describe_worker, register_worker
from app.settings import Settings

CPU = "caliper.cpu"


@dataclass
class Installation:
    """A registry and a Redis, and a clock that a test sets."""

    settings: Settings
    registry: Database
    queue: Queue
    now: float = 1_000.0

    def __post_init__(self) -> None:
        self.proof = ConsumptionProof(self.registry, self.queue, self.settings, now=lambda: self.now)

    def start_worker(self, name: str = "worker-1", queue: str = CPU, **values: object) -> None:
        with self.registry.write() as session:
            register_worker(session, describe_worker(name, queue, "cpu", {"name": "CPU"}, {}))
            row = session.get_one(Worker, name)
            for column, value in values.items():
                setattr(row, column, value)

    def take(self, name: str = "worker-1", queue: str = CPU) -> None:
        """What a worker's consumer does with a message."""
        self.queue._redis.rpop(f"{self.settings.queue_prefix}:{queue}")
        with self.registry.write() as session:
            note_taken(session, queue, name)

    def hold_a_job(self, name: str = "worker-1") -> None:
        with self.registry.write() as session:
            dataset = make_dataset()
            session.add(dataset)
            session.flush()
            job_id = add_job(session, make_job(dataset)).id
        with self.registry.write() as session:
            assert claim_job(session, job_id, name, 600)

    def look(self, seconds: float = 0.0, queue: str = CPU) -> str:
        """How the queue stands after so many seconds."""
        self.now += max(seconds, 1.0)
        self.proof()
        return self.proof.states([queue])[queue]


@pytest.fixture
def installation(settings: Settings, registry: Database, redis_server: RedisServer) -> Iterator[Installation]:
    queue = Queue(settings)
    yield Installation(
        settings.model_copy(update={"lease_seconds": 600, "probe_seconds": 5}), registry, queue
    )
    queue.close()


def test_a_worker_that_takes_its_probe_proves_its_queue(installation: Installation) -> None:
    installation.start_worker()
    assert installation.look() == UNPROVEN
    assert installation.queue.length(CPU) == 1
    installation.take()
    assert installation.look() == OK
    assert installation.queue.length(CPU) == 0, "it was proven a moment ago"


def test_a_fresh_heartbeat_is_no_proof_and_one_probe_waits_not_many(installation: Installation) -> None:
    installation.start_worker()
    for _ in range(10):
        installation.look(4)
    assert "none takes it" in installation.look()
    assert installation.queue.length(CPU) == 1
    installation.take()
    assert installation.look() == OK


def test_a_worker_that_stops_taking_is_found_within_its_patience(installation: Installation) -> None:
    installation.start_worker()
    installation.look()
    installation.take()
    assert installation.look() == OK
    with installation.registry.write() as session:  # time passes
        session.get_one(Consumption, (CPU, "worker-1")).consumed_at -= 100
    assert installation.look() == OK, "it has a moment to answer"
    assert installation.look(10) == OK
    assert "none takes it" in installation.look(6)


def test_a_busy_worker_is_asked_for_nothing(installation: Installation) -> None:
    installation.start_worker()
    installation.hold_a_job()
    for _ in range(10):
        assert installation.look(100) == OK
    assert installation.queue.length(CPU) == 0


def test_a_worker_between_two_jobs_is_no_alarm(installation: Installation) -> None:
    installation.start_worker()
    installation.hold_a_job()
    assert installation.look(1_000) == OK
    installation.start_worker("worker-2")
    assert installation.look(1) == UNPROVEN
    installation.hold_a_job("worker-2")
    assert installation.look(100) == OK


def test_a_job_that_waits_beside_an_idle_worker_is_probe_enough(installation: Installation) -> None:
    installation.start_worker()
    installation.queue.send(CPU, "job_1", 1)
    installation.look()
    assert installation.queue.length(CPU) == 1
    assert "none takes it" in installation.look(20)


def test_one_of_several_workers_suffices_for_its_queue(installation: Installation) -> None:
    installation.start_worker("worker-1")
    installation.start_worker("worker-2")
    installation.look()
    installation.take("worker-2")
    assert installation.look() == OK


def test_a_queue_to_which_nothing_is_sent_is_not_consumed(installation: Installation) -> None:
    for queue in ("other.cpu", "caliper.gpu"):
        installation.start_worker(queue, queue)
        assert "no job is ever sent" in installation.look(1, queue)


def test_a_worker_of_an_older_release_is_asked_for_no_probe(installation: Installation) -> None:
    installation.start_worker(protocol=1)
    assert installation.look(100) == OK
    assert installation.queue.length(CPU) == 0
    installation.queue.send(CPU, "job_1", 1)
    assert installation.look() == OK
    assert "none takes it" in installation.look(20)


def test_a_worker_that_is_to_leave_need_not_take_anything(installation: Installation) -> None:
    installation.start_worker()
    with installation.registry.write() as session:
        ask_to_leave(session, "worker-1", Drain.DONE, 600)
        assert list_consumers(session, 600) == []
    installation.look()
    assert installation.queue.length(CPU) == 0


def test_while_redis_is_away_no_worker_is_blamed(
    installation: Installation, redis_server: RedisServer
) -> None:
    installation.start_worker()
    installation.look()
    redis_server.kill()
    with pytest.raises(Unavailable):
        installation.look(100)
    redis_server.start()
    assert installation.look(100) == UNPROVEN
    installation.take()
    assert installation.look() == OK


def test_proofs_are_shared_between_api_processes(installation: Installation) -> None:
    installation.start_worker()
    installation.look()
    installation.take()
    other = Installation(installation.settings, installation.registry, installation.queue)
    assert other.look() == OK
    assert other.queue.length(CPU) == 0


def test_it_looks_no_more_often_than_five_times_a_second(installation: Installation) -> None:
    installation.proof()
    installation.start_worker()
    installation.proof()
    assert installation.queue.length(CPU) == 0
    installation.look()
    assert installation.queue.length(CPU) == 1


def test_notes_on_both_databases(database: Database) -> None:
    with database.write() as session:
        register_worker(session, describe_worker("w", CPU, "cpu", {}, {}))
        note_taken(session, CPU, "w")
        note_taken(session, CPU, "w")
    with database.read() as session:
        (consumer,) = list_consumers(session, 60)
    assert (consumer.queue, consumer.worker, consumer.is_busy, consumer.answers_probes) == (
        CPU,
        "w",
        False,
        True,
    )
    assert consumer.age is not None
    assert -1 < consumer.age < 60
