"""Each answer names its request; problems, log lines and the job carry the same id."""

import io
import json
import re
from typing import Any

import pytest
from factories import upload_googl
from job_rows import SPEC
from running_service import Service

from app.api import jobs
from app.api.request_ids import choose_id
from app.logs import configure_logs
from app.registry.database import Database
from app.registry.jobs import get_job, request_of
from app.settings import Settings
from app.storage import Storage

NEW = re.compile(r"[0-9a-f]{32}")


@pytest.fixture
def log(service: Service) -> io.StringIO:
    stream = io.StringIO()
    configure_logs(service.settings, "api", lambda: stream)
    return stream


def told(log: io.StringIO, **facts: Any) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in found if facts.items() <= line.items()]


def test_a_well_formed_id_is_taken_over_and_another_is_made_anew(service: Service) -> None:
    for good in ("nightly-42", "a", "A.b_c:d-9", "x" * 64):
        assert service.get("/healthz", headers={"X-Request-ID": good}).headers["x-request-id"] == good
    for bad in ("", "-x", "x" * 65, "a b", "ä", 'a"b', "<script>"):
        answer = service.get("/healthz", headers={"X-Request-ID": bad.encode("latin-1")})
        assert NEW.fullmatch(answer.headers["x-request-id"])
    made = {service.get("/healthz").headers["x-request-id"] for _ in range(20)}
    assert len(made) == 20
    assert choose_id("a\nb") != "a\nb"


def test_a_problem_and_its_log_line_carry_the_id(service: Service, log: io.StringIO) -> None:
    answer = service.get("/jobs/none?x=secret-query", headers={"X-Request-ID": "mine"})
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "mine"
    answer = service.get("/jobs/none", headers={"X-Request-ID": "mine-2"})
    assert answer.json()["request_id"] == "mine-2"
    (line,) = told(log, event="request", request_id="mine-2")
    assert (line["method"], line["path"], line["status"]) == ("GET", "/jobs/none", 404)
    assert line["ms"] >= 0
    assert "secret-query" not in log.getvalue()


def test_an_unexpected_error_carries_it_too(
    service: Service, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(jobs, "get_job", fail)
    monkeypatch.setattr(jobs, "_detail", fail)
    answer = service.get("/jobs/x", headers={"X-Request-ID": "broken"})
    assert answer.status_code == 500
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "broken"
    (line,) = told(log, event="unexpected error", request_id="broken")
    assert "a defect" in line["exception"]


def test_what_machines_ask_all_the_time_is_told_only_where_it_fails(
    service: Service, log: io.StringIO
) -> None:
    service.get("/healthz")
    service.get("/metrics")
    assert told(log, event="request") == []
    service.get("/readyz")
    assert [line["status"] for line in told(log, event="request")] == [503]


def test_a_job_keeps_the_id_of_the_request_that_made_it(
    service: Service, registry: Database, storage: Storage, settings: Settings, log: io.StringIO
) -> None:
    upload_googl(registry, storage, settings)
    headers = {"X-Request-ID": "made-by-me", "Idempotency-Key": "one"}
    job = service.post("/jobs", json=SPEC, headers=headers).json()
    again = service.post("/jobs", json=SPEC, headers={**headers, "X-Request-ID": "second"}).json()
    assert job["request_id"] == again["request_id"] == "made-by-me"
    with registry.read() as session:
        assert get_job(session, job["id"]).request_id == request_of(session, job["id"]) == "made-by-me"
        assert request_of(session, "none") is None
    assert [line["job_id"] for line in told(log, event="job submitted", request_id="made-by-me")] == [
        job["id"]
    ]
    assert service.get(f"/jobs/{job['id']}").json()["request_id"] == "made-by-me"


def test_ids_of_two_requests_at_one_connection_do_not_mix(service: Service, log: io.StringIO) -> None:
    service.get("/jobs/a", headers={"X-Request-ID": "first"})
    service.get("/jobs/b")
    assert [line["path"] for line in told(log, event="request", request_id="first")] == ["/jobs/a"]
