"""The queue's page: workers, what runs, what waits and why."""

import pytest
from job_rows import HTMX, crash, run, submit, upload_googl
from page_markup import read_fragment, read_page, rows_of, text_of
from running_service import Service

from app.registry.database import Database


@pytest.fixture
def service(emptied_service: Service) -> Service:
    return emptied_service


@pytest.fixture
def registry(service: Service) -> Database:
    return service.parts.database


def test_without_workers_and_broker_it_says_so(service: Service) -> None:
    upload_googl(service)
    submit(service, tier="a100")
    tree = read_page(service.get("/ui/queue"))
    said = text_of(tree.find(".//main"))
    assert "Redis does not answer" in text_of(tree.find(".//*[@role='alert']"))
    assert "No worker consumes." in said
    assert rows_of(tree, "Jobs of the a100 tier")[0][2] == "no worker of tier a100 was ever seen"
    assert "Without worker and without a job: h100, high, medium, low, cpu." in said


def test_what_runs_where_and_what_waits_behind_it(service: Service, registry: Database) -> None:
    upload_googl(service)
    going, tried, waiting = (submit(service, name=name) for name in ("<b>going</b>", "tried", "waiting"))
    crash(registry, run(registry, tried["id"]), "the trainer was killed")
    run(registry, going["id"], 256)
    tree = read_fragment(service.get("/ui/queue", headers=HTMX))
    assert tree.find(".//*[@id='queue']").get("hx-trigger") == "every 2s"
    rows = rows_of(tree, "Jobs of the cpu tier")
    assert [row[:2] for row in rows] == [["runs", "<b>going</b>"], ["1", "tried"], ["2", "waiting"]]
    assert rows[0][2].startswith("50.0% of 512")
    assert rows[0][3] == "caliper@one"
    assert "broker" in rows[1][2]
    assert rows[1][2].endswith("last attempt crashed: the trainer was killed")
    worker = rows_of(tree, "Workers")[0]
    assert worker[:3] == ["caliper@one", "<b>going</b>", "CPU"]
    links = {each.get("href") for each in tree.iter("a")}
    assert {f"/ui/jobs/{job['id']}" for job in (going, tried, waiting)} <= links
