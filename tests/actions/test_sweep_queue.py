"""The relay and the sweep over a real Redis: messages may be lost, doubled or late, jobs may not."""

import pytest
from conftest import RedisServer
from factories import small_spec, upload_googl
from redis import Redis

from app.actions.relay_messages import relay_messages
from app.actions.submit_job import submit_job
from app.actions.sweep_queue import Swept, reap_leases, sweep_queue
from app.errors import Unavailable
from app.queue import Queue, message_id
from app.registry.attempts import claim_job
from app.registry.database import Database
from app.registry.jobs import get_job
from app.registry.outbox import next_messages
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
    assert sweep_queue(registry, queue) == Swept(0, 0)  # the message is alive: nothing to send again
    Redis.from_url(settings.redis_client_url).flushall()
    assert sweep_queue(registry, queue) == Swept(0, 1)
    assert relay_messages(registry, queue) == 1
    assert queue.live_messages("caliper.cpu") == {message_id(job_id, 0)}


def test_a_message_in_a_workers_hands_is_not_sent_again(
    registry: Database, queue: Queue, settings: Settings
) -> None:
    """Kombu keeps what a worker has taken, but not acknowledged, in a hash of its own."""
    queue.send("caliper.cpu", "job_x", 3)
    redis = Redis.from_url(settings.redis_client_url)
    raw = redis.lpop("caliper:caliper.cpu")
    redis.hset("caliper:unacked", "tag", b'[%s, "", "caliper.cpu"]' % raw)
    assert queue.live_messages("caliper.cpu") == {"job_x:3"}


def test_an_expired_lease_is_reaped_and_its_job_woken_again(
    registry: Database, queue: Queue, job_id: str
) -> None:
    relay_messages(registry, queue)
    with registry.write() as session:
        assert claim_job(session, job_id, "gone", -1) is not None
    assert sweep_queue(registry, queue).lost_workers == 1
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
