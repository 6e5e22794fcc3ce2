"""The relay and the sweep over a real Redis: messages may be lost, doubled or late, jobs may not."""

import json
import time
from typing import Any

import pytest
from conftest import RedisServer
from factories import make_dataset, make_job, small_spec, upload_googl
from redis import Redis

from app.actions.relay_messages import relay_messages
from app.actions.submit_job import submit_job
from app.actions.sweep_queue import SENT_AT_ONCE, reap_leases, resend_messages
from app.errors import Unavailable
from app.jobs.protocol import MESSAGE_HEADER, MESSAGE_VERSION, PLAN_VERSION
from app.queue import TRAIN_TASK, Queue, message_id
from app.registry.attempts import (
    Hold,
    claim_job,
    renew_lease,
)
from app.registry.claims import Seat, claim_next
from app.registry.database import Database
from app.registry.datasets import add_dataset
from app.registry.jobs import add_job, get_job
from app.registry.late_holders import (
    expired_leases,
)
from app.registry.outbox import drop_messages, next_messages
from app.registry.tables import Attempt, Job
from app.registry.workers import describe_worker, register_worker
from app.settings import Settings
from app.storage import Storage


@pytest.fixture
def queue(settings: Settings, redis_server: RedisServer) -> Queue:
    return Queue(settings)


@pytest.fixture
def job_id(registry: Database, storage: Storage, settings: Settings) -> str:
    upload_googl(registry, storage, settings)
    return submit_job(registry, settings, small_spec()).job.id


def messages(settings: Settings) -> list[dict[str, Any]]:
    """What waits in the cpu queue, as the broker holds it."""
    raw = Redis.from_url(settings.redis_client_url).lrange("caliper:caliper.cpu", 0, -1)
    return [json.loads(each) for each in raw]


def test_the_outbox_is_sent_once(registry: Database, queue: Queue, settings: Settings, job_id: str) -> None:
    assert relay_messages(registry, queue) == 1
    assert relay_messages(registry, queue) == 0
    (message,) = messages(settings)
    headers = message["headers"]
    assert (headers["task"], headers["id"]) == (TRAIN_TASK, message_id(job_id, 0))
    assert headers[MESSAGE_HEADER] == MESSAGE_VERSION


def test_a_dead_redis_keeps_the_message_for_later(
    registry: Database, queue: Queue, redis_server: RedisServer, job_id: str
) -> None:
    redis_server.kill()
    with pytest.raises(Unavailable, match="queue does not answer"):
        relay_messages(registry, queue)
    with pytest.raises(Unavailable, match="Redis does not answer"):
        queue.ping()
    with registry.read() as session:
        assert [m.job_id for m in next_messages(session, 9)] == [job_id]
    redis_server.start()
    queue.ping()
    assert relay_messages(registry, queue) == 1


def test_a_flushed_redis_loses_nothing(
    registry: Database, queue: Queue, settings: Settings, job_id: str
) -> None:
    relay_messages(registry, queue)
    assert resend_messages(registry, queue, settings) == 0  # the message is alive: nothing to send again
    Redis.from_url(settings.redis_client_url).flushall()
    assert resend_messages(registry, queue, settings) == 1
    assert resend_messages(registry, queue, settings) == 0  # it stands in the outbox
    assert relay_messages(registry, queue) == 1
    assert queue.length("caliper.cpu") == 1


def test_a_message_in_a_workers_hands_woke_it_or_died_with_it(
    registry: Database, queue: Queue, settings: Settings, job_id: str
) -> None:
    """Redis would give it back after the visibility timeout alone: after a week. One too many does no harm."""
    relay_messages(registry, queue)
    redis = Redis.from_url(settings.redis_client_url)
    raw = redis.lpop("caliper:caliper.cpu")
    redis.hset("caliper:unacked", "tag", b'[%s, "", "caliper.cpu"]' % raw)
    redis.zadd("caliper:unacked_index", {"tag": time.time()})
    assert resend_messages(registry, queue, settings) == 1
    assert relay_messages(registry, queue) == 1
    assert resend_messages(registry, queue, settings) == 0


def add_jobs(registry: Database, count: int, **values: Any) -> list[str]:
    with registry.write() as session:
        dataset = add_dataset(session, make_dataset())
        return [add_job(session, make_job(dataset, **values)).id for _ in range(count)]


def test_there_are_as_many_messages_as_jobs_wait_whatever_they_name(
    registry: Database, queue: Queue, settings: Settings
) -> None:
    jobs = add_jobs(registry, 3)
    relay_messages(registry, queue)
    redis = Redis.from_url(settings.redis_client_url)
    redis.rpop("caliper:caliper.cpu")  # a worker was woken by the first job's message …
    with registry.write() as session:
        session.get_one(Job, jobs[2]).priority = 1
    with registry.write() as session:
        taken = claim_next(session, Seat("worker", ("caliper.cpu",)), 60)
        assert taken is not None
        assert taken.hold.job_id == jobs[2]  # … and took the last
    assert resend_messages(registry, queue, settings) == 0
    redis.rpop("caliper:caliper.cpu")
    assert resend_messages(registry, queue, settings) == 1
    assert relay_messages(registry, queue) == 1
    assert queue.length("caliper.cpu") == 2


def test_jobs_of_a_plan_that_no_live_worker_reads_wake_nobody(
    registry: Database, queue: Queue, settings: Settings
) -> None:
    add_jobs(registry, 1, plan_version=PLAN_VERSION + 1)
    relay_messages(registry, queue)
    Redis.from_url(settings.redis_client_url).flushall()
    with registry.write() as session:
        register_worker(session, describe_worker("caliper@one", "caliper.cpu", "cpu", {}, {}))
    assert resend_messages(registry, queue, settings) == 0
    with registry.write() as session:
        newer = describe_worker("caliper@two", "caliper.cpu", "cpu", {}, {})
        newer.plan_version = PLAN_VERSION + 1
        register_worker(session, newer)
    assert resend_messages(registry, queue, settings) == 1


def test_a_turn_writes_a_bounded_number_of_messages(
    registry: Database, queue: Queue, settings: Settings
) -> None:
    add_jobs(registry, SENT_AT_ONCE + 5)
    while relay_messages(registry, queue):
        pass
    Redis.from_url(settings.redis_client_url).flushall()
    assert resend_messages(registry, queue, settings) == SENT_AT_ONCE
    while relay_messages(registry, queue):
        pass
    assert resend_messages(registry, queue, settings) == 5


def test_a_job_that_was_taken_while_its_message_was_looked_for_is_not_woken_again(
    registry: Database, queue: Queue, settings: Settings, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with registry.write() as session:
        drop_messages(session, [message.id for message in next_messages(session, 9)])

    def claimed_meanwhile(*_: object) -> int:
        with registry.write() as session:
            assert claim_job(session, job_id, "worker", 60) is not None
        return 0

    monkeypatch.setattr(queue, "length", claimed_meanwhile)
    assert resend_messages(registry, queue, settings) == 0


def test_an_expired_lease_is_reaped_and_its_job_woken_again(
    registry: Database, queue: Queue, settings: Settings, job_id: str
) -> None:
    relay_messages(registry, queue)
    with registry.write() as session:
        assert claim_job(session, job_id, "gone", -1) is not None
    assert reap_leases(registry, settings) == 1
    with registry.read() as session:
        job = get_job(session, job_id)
        assert (job.state, job.failures, job.fence) == ("queued", 1, 1)
    assert relay_messages(registry, queue) == 1
    assert reap_leases(registry, settings) == 0


def test_leases_are_reaped_while_redis_is_dead(
    registry: Database, queue: Queue, settings: Settings, redis_server: RedisServer, job_id: str
) -> None:
    with registry.write() as session:
        claim_job(session, job_id, "gone", -1)
    redis_server.kill()
    assert reap_leases(registry, settings) == 1


def test_a_deadline_that_its_worker_did_not_end_is_reaped(
    registry: Database, settings: Settings, job_id: str
) -> None:
    with registry.write() as session:
        session.get_one(Job, job_id).max_seconds = 3_600.0
    with registry.write() as session:
        taken = claim_job(session, job_id, "hangs", 60)
        assert taken is not None
    assert reap_leases(registry, settings) == 0
    with registry.write() as session:
        attempt = session.get_one(Attempt, (job_id, 1))
        assert attempt.deadline_at is not None
        attempt.deadline_at -= 3_600 + settings.cancel_grace_seconds + settings.lease_seconds + 1
    assert reap_leases(registry, settings) == 1
    with registry.read() as session:
        job = get_job(session, job_id)
        assert (job.state, (job.error or {})["code"]) == ("failed", "deadline")


def test_a_lease_that_is_renewed_while_it_is_reaped_stays(
    registry: Database, settings: Settings, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with registry.write() as session:
        taken = claim_job(session, job_id, "late", -1)
        assert taken is not None

    def looked_before_the_heartbeat(session: Any) -> list[Hold]:
        found = list(expired_leases(session))
        with registry.write() as other:
            assert renew_lease(other, taken.hold, 60) is not None
        return found

    monkeypatch.setattr("app.actions.sweep_queue.expired_leases", looked_before_the_heartbeat)
    assert reap_leases(registry, settings) == 0
    with registry.read() as session:
        assert get_job(session, job_id).state == "running"
