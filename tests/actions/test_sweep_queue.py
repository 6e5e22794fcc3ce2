"""The relay and the sweep over a real Redis: messages may be lost, doubled or late, jobs may not."""

import time

import pytest
from conftest import RedisServer
from factories import small_spec, upload_googl
from redis import Redis

from app.actions.relay_messages import relay_messages
from app.actions.submit_job import submit_job
from app.actions.sweep_queue import reap_leases, resend_messages
from app.errors import Unavailable
from app.queue import Queue, message_id
from app.registry.attempts import claim_job
from app.registry.database import Database
from app.registry.jobs import get_job
from app.registry.outbox import drop_messages, next_messages
from app.settings import Settings
from app.storage import Storage


@pytest.fixture
def queue(settings: Settings, redis_server: RedisServer) -> Queue:
    return Queue(settings)


@pytest.fixture
def job_id(registry: Database, storage: Storage, settings: Settings) -> str:
    upload_googl(registry, storage, settings)
    return submit_job(registry, settings, small_spec()).job.id


def test_the_outbox_is_sent_once(registry: Database, queue: Queue, job_id: str) -> None:
    assert relay_messages(registry, queue) == 1
    assert relay_messages(registry, queue) == 0
    assert queue.length("caliper.cpu") == 1
    assert queue.live_messages("caliper.cpu") == {message_id(job_id, 0)}


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
    assert resend_messages(registry, queue, 45) == 0  # the message is alive: nothing to send again
    Redis.from_url(settings.redis_client_url).flushall()
    assert resend_messages(registry, queue, 45) == 1
    assert resend_messages(registry, queue, 45) == 0  # it stands in the outbox
    assert relay_messages(registry, queue) == 1
    assert queue.live_messages("caliper.cpu") == {message_id(job_id, 0)}


def take_message(settings: Settings, seconds_ago: float) -> None:
    """Kombu keeps what a worker has taken, but not acknowledged, in a hash of its own, and when in a sorted set."""
    redis = Redis.from_url(settings.redis_client_url)
    raw = redis.lpop("caliper:caliper.cpu")
    redis.hset("caliper:unacked", "tag", b'[%s, "", "caliper.cpu"]' % raw)
    redis.zadd("caliper:unacked_index", {"tag": time.time() - seconds_ago})


def test_a_message_in_a_workers_hands_is_not_sent_again(
    registry: Database, queue: Queue, settings: Settings, job_id: str
) -> None:
    relay_messages(registry, queue)
    take_message(settings, seconds_ago=1)
    assert queue.live_messages("caliper.cpu") == {message_id(job_id, 0)}
    assert resend_messages(registry, queue, 45) == 0


@pytest.mark.parametrize("seconds_ago", [60, -86_400], ids=["long ago", "by a clock that is a day ahead"])
def test_a_message_that_died_in_a_workers_hands_is_sent_again(
    registry: Database, queue: Queue, settings: Settings, job_id: str, seconds_ago: float
) -> None:
    """Redis would give it back after the visibility timeout alone: after a week."""
    relay_messages(registry, queue)
    take_message(settings, seconds_ago)
    assert resend_messages(registry, queue, 45) == 1
    assert relay_messages(registry, queue) == 1
    assert resend_messages(registry, queue, 45) == 0


def test_a_job_that_was_taken_while_its_message_was_looked_for_is_not_woken_again(
    registry: Database, queue: Queue, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with registry.write() as session:
        drop_messages(session, [message.id for message in next_messages(session, 9)])

    def claimed_meanwhile(*_: object) -> set[str]:
        with registry.write() as session:
            assert claim_job(session, job_id, "worker", 60) is not None
        return set()

    monkeypatch.setattr(queue, "live_messages", claimed_meanwhile)
    assert resend_messages(registry, queue, 45) == 0


def test_an_expired_lease_is_reaped_and_its_job_woken_again(
    registry: Database, queue: Queue, job_id: str
) -> None:
    relay_messages(registry, queue)
    with registry.write() as session:
        assert claim_job(session, job_id, "gone", -1) is not None
    assert reap_leases(registry) == 1
    with registry.read() as session:
        job = get_job(session, job_id)
        assert (job.state, job.failures, job.fence) == ("queued", 1, 1)
    assert relay_messages(registry, queue) == 1
    assert reap_leases(registry) == 0


def test_leases_are_reaped_while_redis_is_dead(
    registry: Database, queue: Queue, redis_server: RedisServer, job_id: str
) -> None:
    with registry.write() as session:
        claim_job(session, job_id, "gone", -1)
    redis_server.kill()
    assert reap_leases(registry) == 1
