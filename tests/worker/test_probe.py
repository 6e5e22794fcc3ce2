"""Real workers whose process lives and whose heartbeat is fresh, and which consume or do not: /readyz knows which."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from conftest import RedisServer
from factories import small_spec, upload_googl
from running_service import Service, eventually, running

from app.actions.submit_job import submit_job
from app.local.processes import end, family
from app.local.services import python_environment
from app.queue import celery_settings
from app.registry.database import Database
from app.registry.tables import Consumption
from app.settings import Settings
from app.storage import Storage

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("journeys"), pytest.mark.timeout(240)]

QUEUE = "queue:caliper.cpu"


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """Proofs every second; heartbeats that outlive every test, so that none of them tells anything."""
    return settings.model_copy(update={"probe_seconds": 1, "lease_seconds": 200, "default_tier": "cpu"})


@pytest.fixture
def service(quick: Settings, registry: Database, redis_server: RedisServer) -> Iterator[Service]:
    with running(quick) as started:
        yield started


@contextmanager
def worker(
    settings: Settings, queue: str = "caliper.cpu", **changes: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process; `changes`: settings that are its own."""
    own = settings.model_copy(update=changes)
    log = own.data_dir / "worker.log"
    command = ["-m", "celery", "-A", "worker.main:app", "worker", "-P", "prefork", "-c", "1", "-Q", queue]
    alone = ["-n", "probed@%h", "--without-gossip", "--without-mingle"]
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, *command, *alone],
            env={**os.environ, **python_environment(own)},
            stdout=file,
            stderr=file,
        )
    try:
        yield process
    finally:
        everyone = family(process.pid)
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()
        end(everyone, grace=0)


def state(service: Service, part: str = QUEUE) -> str:
    """What /readyz says of a part; empty while it says nothing of it."""
    return str(service.get("/readyz").json()["parts"].get(part, ""))


def is_consumed(service: Service) -> Callable[[], bool]:
    return lambda: state(service) == "ok" and service.get("/readyz").status_code == 200


def is_stuck(service: Service, part: str = QUEUE) -> Callable[[], bool]:
    return lambda: "none takes it" in state(service, part) and service.get("/readyz").status_code == 503


def test_a_worker_that_consumes_is_ready_and_one_that_is_stopped_is_not(
    service: Service, quick: Settings, registry: Database
) -> None:
    with worker(quick) as process:
        eventually(is_consumed(service), 90)
        with registry.read() as session:
            assert session.query(Consumption).one().queue == "caliper.cpu"
        process.send_signal(signal.SIGSTOP)
        eventually(is_stuck(service), 60)
        assert state(service, "worker") == "ok", "its heartbeat is still fresh"
        assert service.get("/readyz?part=database&part=redis").status_code == 200
        process.send_signal(signal.SIGCONT)
        eventually(is_consumed(service), 60)


def test_a_consumer_that_was_cancelled_is_found_although_its_loop_turns(
    service: Service, quick: Settings
) -> None:
    with worker(quick):
        eventually(is_consumed(service), 90)
        celery = Celery("test", set_as_current=False)
        celery.conf.update(celery_settings(quick))
        assert celery.control.cancel_consumer("caliper.cpu", reply=True, timeout=10)
        eventually(is_stuck(service), 60)
        assert celery.control.ping(timeout=10), "it answers, as a worker that consumes does"
        celery.control.add_consumer("caliper.cpu")
        eventually(is_consumed(service), 60)
        celery.close()


def test_a_worker_at_another_redis_is_found(service: Service, quick: Settings, tmp_path: Path) -> None:
    other = RedisServer(Settings(data_dir=tmp_path / "other"))
    other.start()
    try:
        with worker(quick, redis_url=other.settings.redis_url):
            eventually(lambda: state(service, "worker") == "ok", 90)
            eventually(is_stuck(service), 60)
    finally:
        other.kill()


def test_a_worker_under_another_prefix_or_at_another_queue_is_found(
    service: Service, quick: Settings
) -> None:
    with worker(quick, "other.cpu", queue_prefix="other"):
        eventually(lambda: "no job is ever sent" in state(service, "queue:other.cpu"), 90)
        assert service.get("/readyz").status_code == 503
    with worker(quick, "caliper.gpu"):
        eventually(lambda: "no job is ever sent" in state(service, "queue:caliper.gpu"), 90)


def test_a_worker_whose_job_takes_long_stays_ready(
    service: Service, quick: Settings, registry: Database, storage: Storage
) -> None:
    upload_googl(registry, storage, quick)
    with worker(quick):
        eventually(is_consumed(service), 90)
        spec = small_spec(total_timesteps=100_000_000)
        job = submit_job(registry, quick, spec).job
        service.parts.relay.wake()
        eventually(lambda: service.get(f"/jobs/{job.id}").json()["progress"], 90)
        turns = service.parts.prover.turns
        while service.parts.prover.turns < turns + 6:  # longer than an unanswered probe may wait
            assert state(service) == "ok"
        # None piles up; one may have been sent this moment.
        eventually(lambda: service.parts.queue.length("caliper.cpu") == 0, 10)
        service.post(f"/jobs/{job.id}/cancel")
        eventually(lambda: service.get(f"/jobs/{job.id}").json()["state"] == "cancelled", 60)
        eventually(is_consumed(service), 60)
