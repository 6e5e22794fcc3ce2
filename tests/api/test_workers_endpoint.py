"""Workers that leave, jobs that wait and say why, priorities: over HTTP."""

from typing import Any

import pytest
from job_rows import SPEC, claim, submit, upload_googl
from running_service import Service, is_problem

from app.jobs.protocol import MESSAGE_VERSION
from app.registry.database import Database
from app.registry.tables import Worker
from app.registry.workers import Drain, asked_to_leave, describe_worker, register_worker


@pytest.fixture
def dataset(service: Service) -> str:
    return str(upload_googl(service)["id"])


def start(registry: Database, name: str = "caliper@one") -> None:
    with registry.write() as session:
        register_worker(session, describe_worker(name, "caliper.cpu", "cpu", {"name": "CPU"}, {}))


@pytest.mark.parametrize(("query", "drain"), [("", Drain.DONE), ("?now=true", Drain.NOW)])
def test_a_worker_is_asked_to_leave(service: Service, registry: Database, query: str, drain: Drain) -> None:
    service.get("/workers")  # the first request of a process prepares all operations
    start(registry)
    answer = service.post(f"/workers/caliper@one/drain{query}")
    assert answer.status_code == 202, answer.text
    assert (answer.json()["state"], answer.json()["queues"]) == ("draining", [])
    with registry.read() as session:
        assert asked_to_leave(session, "caliper@one") is drain
    (shown,) = service.get("/workers").json()
    assert (shown["id"], shown["state"], shown["outdated"]) == ("caliper@one", "draining", False)


def test_a_worker_that_is_not_alive_cannot_be_asked(service: Service, registry: Database) -> None:
    problem = is_problem(service.post("/workers/caliper@gone/drain"), 404, "not_found")
    assert problem["detail"] == "no worker 'caliper@gone' is alive"
    is_problem(service.post("/workers/caliper@gone/drain?when=now"), 422, "invalid_input")


def test_a_worker_of_an_older_release_is_shown_as_such(service: Service, registry: Database) -> None:
    start(registry)
    with registry.write() as session:
        row = session.get_one(Worker, "caliper@one")
        row.protocol, row.queues = 1, None
    (shown,) = service.get("/workers").json()
    assert (shown["protocol"], shown["outdated"], shown["queues"]) == (1, True, ["caliper.cpu"])
    assert MESSAGE_VERSION > 1


def test_a_queued_job_says_why_it_waits_and_a_running_one_nothing(
    service: Service, registry: Database, dataset: str
) -> None:
    first = submit(service)
    assert first["waiting"].startswith("no worker of tier cpu was ever seen")
    held = claim(registry, first["id"])
    assert held is not None
    second = submit(service)
    assert second["waiting"].startswith("the broker that wakes the workers does not answer") or (
        second["waiting"] == "tier cpu: 1 worker, busy; next in line"
    )
    assert service.get(f"/jobs/{first['id']}").json()["waiting"] is None


def test_jobs_are_listed_by_priority(service: Service, dataset: str) -> None:
    jobs = [submit(service, priority=priority) for priority in (2, 0, 2, -1)]
    listed = service.get("/jobs?priority=2").json()["items"]
    assert [job["id"] for job in listed] == [jobs[2]["id"], jobs[0]["id"]]
    assert {job["priority"] for job in listed} == {2}
    assert [job["id"] for job in service.get("/jobs?priority=0").json()["items"]] == [jobs[1]["id"]]
    is_problem(service.get("/jobs?priority=11"), 422, "invalid_input")
    waiting = next(tier for tier in service.get("/queue").json()["tiers"] if tier["tier"] == "cpu")["waiting"]
    assert [each["job_id"] for each in waiting] == [jobs[n]["id"] for n in (0, 2, 1, 3)]
    assert [each["priority"] for each in waiting] == [2, 2, 0, -1]


@pytest.mark.parametrize(
    ("values", "pointer"),
    [({"priority": 11}, "priority"), ({"max_hours": 0}, "max_hours"), ({"max_hours": 1e6}, "max_hours")],
)
def test_what_is_out_of_range_is_refused_and_says_what_is_allowed(
    service: Service, dataset: str, values: dict[str, Any], pointer: str
) -> None:
    problem = is_problem(service.post("/jobs", json={**SPEC, **values}), 422, "invalid_config")
    assert problem["pointer"].endswith(pointer)
    assert problem["hint"]


def test_a_time_limit_is_shown(service: Service, dataset: str) -> None:
    job = submit(service, max_hours=2)
    assert (job["spec"]["max_hours"], job["used_seconds"]) == (2, 0)
    assert job["reasons"]["max_hours"] == "as asked for"
