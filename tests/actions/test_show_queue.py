"""What waits says why; what runs says where."""

from collections.abc import Iterator

import pytest
from factories import make_dataset, make_job

from app.actions.show_queue import TierQueue, show_queue
from app.errors import Unavailable
from app.jobs.lifecycle import Outcome
from app.queue import Queue
from app.registry.attempts import claim_job, lose_attempt
from app.registry.database import Database
from app.registry.datasets import add_dataset
from app.registry.jobs import add_job, cancel
from app.registry.queue_state import running_by_worker
from app.registry.tables import Job
from app.registry.workers import describe_worker, register_worker
from app.settings import Settings


class AnsweringQueue(Queue):
    """A broker that answers."""

    def ping(self) -> None:
        return None


@pytest.fixture
def queue(settings: Settings) -> Iterator[Queue]:
    queue = AnsweringQueue(settings)
    yield queue
    queue.close()


@pytest.fixture
def jobs(registry: Database) -> list[Job]:
    with registry.write() as session:
        dataset = add_dataset(session, make_dataset())
        return [add_job(session, make_job(dataset, name=f"job {n}")) for n in range(3)]


def start_worker(registry: Database, tier: str = "cpu") -> None:
    with registry.write() as session:
        register_worker(session, describe_worker(f"caliper@{tier}", f"caliper.{tier}", tier, {}, {}))


def of_tier(registry: Database, queue: Queue, settings: Settings, tier: str = "cpu") -> TierQueue:
    return next(each for each in show_queue(registry, queue, settings).tiers if each.tier == tier)


def test_without_a_worker_every_job_waits_for_one(
    registry: Database, queue: Queue, settings: Settings, jobs: list[Job]
) -> None:
    start_worker(registry, "low")
    shown = of_tier(registry, queue, settings)
    assert (shown.workers, shown.waiting_count, shown.running) == (0, 3, ())
    assert [each.job_id for each in shown.waiting] == [job.id for job in jobs]
    assert [each.place for each in shown.waiting] == [1, 2, 3]
    assert {each.why for each in shown.waiting} == {
        "no worker of tier cpu was ever seen; tiers with one: low"
    }
    assert of_tier(registry, queue, settings, "low").workers == 1


def test_jobs_wait_behind_the_one_that_runs(
    registry: Database, queue: Queue, settings: Settings, jobs: list[Job]
) -> None:
    start_worker(registry)
    with registry.write() as session:
        claim_job(session, jobs[0].id, "caliper@cpu", 60)
        cancel(session, jobs[2].id)
    shown = of_tier(registry, queue, settings)
    assert [(each.job_id, each.attempt, each.worker) for each in shown.running] == [
        (jobs[0].id, 1, "caliper@cpu")
    ]
    assert [(each.job_id, each.why) for each in shown.waiting] == [
        (jobs[1].id, "tier cpu: 1 worker, busy; next in line")
    ]
    with registry.read() as session:
        assert running_by_worker(session)["caliper@cpu"].job.id == jobs[0].id


def test_a_job_that_was_tried_says_how_that_ended_and_keeps_its_place(
    registry: Database, queue: Queue, settings: Settings, jobs: list[Job]
) -> None:
    start_worker(registry)
    with registry.write() as session:
        claim = claim_job(session, jobs[0].id, "caliper@cpu", 60)
        assert claim is not None
        lose_attempt(session, claim.hold, Outcome.CRASHED, "killed by SIGSEGV")
    shown = of_tier(registry, queue, settings)
    assert [each.job_id for each in shown.waiting] == [job.id for job in jobs]
    assert [each.last_attempt for each in shown.waiting] == ["crashed: killed by SIGSEGV", "", ""]
    assert shown.waiting[0].why == "a worker of tier cpu is free and about to take it"
    assert shown.waiting[1].why == "tier cpu: 1 worker, free; 1 job before it"


def test_a_silent_broker_is_told(registry: Database, settings: Settings, jobs: list[Job]) -> None:
    start_worker(registry)
    queue = Queue(settings)
    with pytest.raises(Unavailable):
        queue.ping()
    state = show_queue(registry, queue, settings)
    queue.close()
    assert "Redis does not answer" in state.broker
    assert "broker" in next(each for each in state.tiers if each.tier == "cpu").waiting[0].why
