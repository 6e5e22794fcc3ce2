"""/metrics: what an operator needs is there, its numbers are those of the registry, and no client makes series."""

from datetime import timedelta
from typing import Any

import pytest
from factories import make_checkpoint, make_dataset, make_job
from prometheus_client.parser import text_string_to_metric_families
from running_service import Service, eventually

from app.jobs.lifecycle import Outcome
from app.registry.attempts import claim_job, lose_attempt
from app.registry.checkpoints import add_checkpoint
from app.registry.consumption import note_taken
from app.registry.database import Database
from app.registry.events import record_event
from app.registry.jobs import add_job
from app.registry.measures import take_measures
from app.registry.metrics import record_progress
from app.registry.tables import Event, Job, Message, utc_now
from app.registry.workers import describe_worker, register_worker
from app.settings import Settings

Samples = dict[tuple[str, ...], float]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A lease that outlasts the test: a worker's row stays fresh."""
    return settings.model_copy(update={"lease_seconds": 600})


def samples(service: Service) -> Samples:
    """Every sample of /metrics by its name and label values."""
    families = text_string_to_metric_families(service.get("/metrics").text)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def add_jobs(registry: Database, count: int = 1, **values: Any) -> list[str]:
    with registry.write() as session:
        dataset = make_dataset()
        session.add(dataset)
        session.flush()
        return [add_job(session, make_job(dataset, **values)).id for _ in range(count)]


def test_running_and_waiting_jobs_and_lost_attempts(service: Service, registry: Database) -> None:
    first, second, waiting = add_jobs(registry, 3, tier="high", queue="caliper.high")
    with registry.write() as session:
        register_worker(session, describe_worker("w1", "caliper.high", "high", {}, {}))
        register_worker(session, describe_worker("w2", "caliper.high", "high", {}, {}))
        note_taken(session, "caliper.high", "w1")
    with registry.write() as session:
        claim = claim_job(session, first, "w1", 600)
        lost = claim_job(session, second, "w0", 600)
        assert claim
        assert lost
        record_progress(session, claim.hold, 128, {"steps_per_second": 5_000.0, "memory_bytes": 2e9})
    with registry.write() as session:
        lose_attempt(session, lost.hold, Outcome.WORKER_LOST, "silence")
        session.query(Event).where(Event.job_id == waiting).update(
            {"created_at": utc_now() - timedelta(hours=2)}
        )
    found = samples(service)
    assert found["caliper_jobs", "running", "high"] == 1
    assert found["caliper_jobs", "queued", "high"] == 2
    assert found["caliper_jobs", "queued", "cpu"] == 0
    assert found["caliper_job_oldest_wait_seconds", "high"] == pytest.approx(7_200, abs=60)
    assert found["caliper_job_oldest_wait_seconds", "cpu"] == 0
    assert (found["caliper_workers", "high"], found["caliper_workers_busy", "high"]) == (2, 1)
    assert found["caliper_running_steps_per_second", "high"] == 5_000
    assert found["caliper_running_memory_bytes", "high"] == 2e9
    assert found["caliper_attempts_ended_total", "worker_lost"] == 1
    assert found["caliper_attempts_ended_total", "crashed"] == 0
    assert found["caliper_leases_overdue",] == 0


def test_the_relays_lag_and_overdue_leases(service: Service, registry: Database) -> None:
    (job_id,) = add_jobs(registry)
    with registry.write() as session:
        assert claim_job(session, job_id, "w1", 600)
        session.get_one(Job, job_id).lease_expires_at = 1.0
        session.query(Message).delete()
        late = utc_now() - timedelta(minutes=5)
        session.add(Message(job_id=job_id, fence=1, queue="caliper.cpu", created_at=late))
    with registry.read() as session:
        measures = take_measures(session, 60)
    assert measures.leases_overdue == 1
    assert measures.outbox.count == 1
    assert measures.outbox.oldest_seconds == pytest.approx(300, abs=30)


def test_both_databases_count_alike(database: Database) -> None:
    (job_id,) = add_jobs(database)
    with database.write() as session:
        add_checkpoint(session, make_checkpoint(bytes=1_000))
        add_checkpoint(session, make_checkpoint(bytes=500, kind="final"))
        record_event(session, job_id, "log", {"message": "x"})
    with database.read() as session:
        measures = take_measures(session, 60)
    assert measures.jobs == {("queued", "cpu"): 1}
    assert measures.waiting["cpu"].count == 1
    assert {kind: (each.count, each.bytes) for kind, each in measures.checkpoints.items()} == {
        "uploaded": (1, 1_000),
        "final": (1, 500),
    }
    assert (measures.running, measures.workers, measures.attempts) == ({}, {}, {})


def test_storage_loops_and_the_process_itself(service: Service, registry: Database) -> None:
    service.upload_checkpoint()
    eventually(lambda: service.parts.tidy.turns)
    found = samples(service)
    assert found["caliper_checkpoints", "uploaded"] == 1
    assert found["caliper_checkpoint_bytes", "uploaded"] > 0
    assert found["caliper_disk_bytes",] > found["caliper_disk_free_bytes",] > 0
    assert found["caliper_loop_turns_total", "tidy"] >= 1
    assert 0 <= found["caliper_loop_idle_seconds", "tidy"] < 3_600
    assert found["process_resident_memory_bytes",] > 0
    assert found["caliper_followers",] == 0


def test_uploads_are_counted_by_how_their_reading_ended(service: Service) -> None:
    service.upload_checkpoint()
    service.post("/checkpoints/inspect", files={"file": ("a.pt", b"no checkpoint")})
    found = samples(service)
    assert found["caliper_uploads_read_total", "read"] == 1
    assert found["caliper_uploads_read_total", "unreadable"] == 1
    assert found["caliper_uploads_read_total", "memory"] == 0
    assert found["caliper_upload_read_seconds_count",] == 2


def test_kept_estimates_are_told_from_computed_ones(service: Service) -> None:
    for _ in range(3):
        assert service.get("/estimate?obs_dim=6&hidden=8").status_code == 200
    found = samples(service)
    assert found["caliper_estimate_cache_total", "miss"] == 1
    assert found["caliper_estimate_cache_total", "hit"] == 2


def test_failures_of_a_loop_are_counted_and_their_time_is_told(service: Service) -> None:
    # No Redis runs: the relay has nothing to send, but the prover finds a worker and cannot ask it.
    with service.parts.database.write() as session:
        register_worker(session, describe_worker("w1", "caliper.cpu", "cpu", {}, {}))
    service.parts.prover.wake()
    eventually(lambda: service.parts.prover.failures)
    assert samples(service)["caliper_loop_failures_total", "prover"] >= 1


def test_no_client_and_no_worker_makes_series(service: Service, registry: Database) -> None:
    service.get("/jobs")
    service.get("/estimate?obs_dim=6&hidden=8")
    ask_for_everything(service, "first")
    samples(service)
    before = set(samples(service))
    for number in range(30):
        ask_for_everything(service, f"other{number}")
        with registry.write() as session:
            register_worker(session, describe_worker(f"w{number}", f"strange.{number}", f"t{number}", {}, {}))
        with registry.write() as session:
            add_checkpoint(session, make_checkpoint(kind=f"kind{number}"))
    add_jobs(registry, 5, name="evil\n# TYPE caliper_evil gauge", tier="no-such-tier", queue="x")
    after = set(samples(service))
    new = {key for key in after - before if key[0] != "caliper_queue_consumed"}
    assert new == set()
    assert {key for key in after if key[0] == "caliper_queue_consumed"} == {
        ("caliper_queue_consumed", "other")
    }


def ask_for_everything(service: Service, word: str) -> None:
    """Whatever of a request is the client's choice, chosen anew."""
    for path in (
        f"/jobs/{word}",
        f"/{word}",
        f"/checkpoints/{word}",
        f"/ui/jobs/{word}",
        f"/estimate?{word}=1",
    ):
        service.get(path, headers={"User-Agent": word, "X-Request-ID": word, "Host": "127.0.0.1"})
    service.http.request(word.upper(), "/jobs")
    service.post("/jobs", json={"name": word}, headers={"Idempotency-Key": word})
