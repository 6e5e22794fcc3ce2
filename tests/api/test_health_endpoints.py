"""/healthz, /readyz, /workers and /metrics: what works, with a broker and without."""

from typing import Any

import pytest
from factories import make_dataset, make_job
from prometheus_client.parser import text_string_to_metric_families
from running_service import Service, eventually, is_problem

from app.actions.prove_consumption import UNPROVEN
from app.network.disk.contents import WRITER_VERSIONS
from app.registry.consumption import note_taken
from app.registry.database import Database
from app.registry.jobs import add_job
from app.registry.workers import describe_worker, register_worker
from app.settings import Settings


@pytest.fixture
def worker(registry: Database) -> str:
    device = {"name": "a CPU", "total_bytes": 8 * 10**9}
    with registry.write() as session:
        register_worker(
            session, describe_worker("worker-1", "caliper.cpu", "cpu", device, {"torch": "2.13.0"})
        )
        note_taken(session, "caliper.cpu", "worker-1")
    return "worker-1"


def samples(service: Service) -> dict[tuple[str, ...], float]:
    """Every sample of /metrics by its name and label values."""
    text = service.get("/metrics").text
    families = text_string_to_metric_families(text)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_living_process_answers_whatever_else_fails(service: Service) -> None:
    answer = service.get("/healthz")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "ok", "version": WRITER_VERSIONS["caliper"]},
    )


def test_ready_where_database_redis_and_a_worker_answer(
    service: Service, redis_server: Any, worker: str
) -> None:
    answer = eventually(lambda: (found := service.get("/readyz")).status_code == 200 and found)
    body = answer.json()
    assert body["parts"] == {"database": "ok", "redis": "ok", "worker": "ok", "queue:caliper.cpu": "ok"}
    assert [(each["id"], each["tier"], each["queue"]) for each in body["workers"]] == [
        ("worker-1", "cpu", "caliper.cpu")
    ]
    assert service.get("/workers").json() == body["workers"]


def test_not_ready_without_redis_but_the_worker_is_shown(service: Service, worker: str) -> None:
    answer = service.get("/readyz")
    problem = is_problem(answer, 503, "unavailable")
    assert problem["parts"]["redis"].startswith("Redis does not answer")
    assert (problem["parts"]["database"], problem["parts"]["worker"]) == ("ok", "ok")
    assert [each["id"] for each in problem["workers"]] == [worker]
    assert answer.headers["retry-after"] == "5"


def test_not_ready_without_a_worker(service: Service, redis_server: Any) -> None:
    problem = is_problem(service.get("/readyz"), 503, "unavailable")
    assert problem["parts"]["redis"] == "ok"
    assert problem["parts"]["worker"].startswith("none was heard of")


def test_a_worker_that_was_not_heard_of_in_time_does_not_count(
    settings: Settings, registry: Database, worker: str, make_service: Any
) -> None:
    with make_service(settings.model_copy(update={"lease_seconds": 1e-9})) as service:
        assert service.get("/workers").json() == []


def test_a_database_without_tables_is_unavailable_not_a_crash(settings: Settings, make_service: Any) -> None:
    empty = settings.model_copy(update={"database_url": f"sqlite:///{settings.data_dir}/empty.db"})
    with make_service(empty) as service:
        for path in (
            "/jobs",
            "/datasets",
            "/checkpoints",
            "/workers",
            "/checkpoints/x/file",
            "/jobs/x/events",
        ):
            is_problem(service.get(path), 503, "unavailable")
        problem = is_problem(service.get("/readyz"), 503, "unavailable")
        assert problem["parts"]["database"] != "ok"
        assert service.get("/healthz").status_code == 200
        assert samples(service)["caliper_up", "database"] == 0


def test_requests_are_counted_by_route_not_by_path(service: Service) -> None:
    for name in ("a", "b", "c"):
        service.get(f"/jobs/{name}")
        service.get(f"/nowhere/{name}")
    service.http.request("PROPFIND", "/jobs")
    found = samples(service)
    assert found["caliper_requests_total", "GET", "/jobs/{job_id}", "404"] == 3
    assert found["caliper_requests_total", "GET", "(none)", "404"] == 3
    assert found["caliper_request_seconds_count", "GET", "/jobs/{job_id}"] == 3
    assert ("caliper_requests_total", "other", "/jobs", "405") in found
    assert not [key for key in found if "PROPFIND" in key or "nowhere" in " ".join(key)]


def test_jobs_queues_and_workers_are_measured(
    service: Service, registry: Database, redis_server: Any, worker: str
) -> None:
    with registry.write() as session:
        dataset = make_dataset()
        session.add(dataset)
        session.flush()
        for _ in range(2):
            add_job(session, make_job(dataset, state="succeeded"))
    found = samples(service)
    assert found["caliper_jobs", "succeeded", "cpu"] == 2
    assert found["caliper_jobs", "running", "cpu"] == 0
    assert found["caliper_workers", "cpu"] == 1
    assert found["caliper_workers", "h100"] == 0
    assert found["caliper_queue_length", "cpu"] >= 0
    assert found["caliper_up", "redis"] == found["caliper_up", "database"] == 1


def test_measurements_go_on_without_redis(service: Service) -> None:
    found = samples(service)
    assert found["caliper_up", "redis"] == 0
    assert ("caliper_queue_length", "cpu") not in found
    assert found["caliper_jobs", "queued", "cpu"] == 0


def test_only_the_parts_that_are_asked_for_must_be_well(service: Service, redis_server: Any) -> None:
    assert service.get("/readyz").status_code == 503
    answer = service.get("/readyz?part=database&part=redis")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert answer.json()["parts"]["worker"].startswith("none was heard of")
    is_problem(service.get("/readyz?part=worker"), 503, "unavailable")
    is_problem(service.get("/readyz?part=moon"), 422, "invalid_input")


def test_not_ready_where_a_fresh_worker_has_taken_nothing(
    service: Service, registry: Database, redis_server: Any
) -> None:
    with registry.write() as session:
        register_worker(session, describe_worker("silent", "caliper.high", "high", {}, {}))
    problem = is_problem(service.get("/readyz"), 503, "unavailable")
    assert problem["parts"]["worker"] == "ok"
    assert problem["parts"]["queue:caliper.high"] == UNPROVEN
