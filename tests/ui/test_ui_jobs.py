"""The list of jobs: what the API lists, filtered, live, page by page."""

import pytest
from job_rows import HTMX, fail, run, submit, upload_googl
from page_markup import read_fragment, read_page, rows_of, text_of
from running_service import Service

from app.registry.database import Database
from app.ui import jobs as page

CAPTION = "Jobs, the newest first"


@pytest.fixture
def service(emptied_service: Service) -> Service:
    return emptied_service


@pytest.fixture
def registry(service: Service) -> Database:
    return service.parts.database


def test_an_empty_list_says_how_to_begin(service: Service) -> None:
    tree = read_page(service.get("/ui/jobs"))
    assert "No job yet" in text_of(tree.find(".//main"))
    assert tree.find(".//section[@id='jobs']").get("hx-trigger") == "every 2s"


def test_jobs_are_listed_with_state_and_progress(service: Service, registry: Database) -> None:
    dataset = upload_googl(service)
    waiting, going, broken = (submit(service, name=name) for name in ("waiting", "<b>going</b>", "broken"))
    run(registry, going["id"], 128)
    fail(registry, run(registry, broken["id"]), "a loss became NaN")
    tree = read_page(service.get("/ui/jobs"))
    rows = rows_of(tree, CAPTION)
    assert [row[0] for row in rows] == ["broken", "<b>going</b>", "waiting"]
    assert [row[1] for row in rows] == ["failed", "running", "queued"]
    assert rows[0][2] == "a loss became NaN"
    assert rows[1][2].startswith("25.0% of 512 · 2.13 k/s")
    assert rows[2][2] == "waits for a worker"
    links = {each.get("href") for each in tree.iter("a")}
    assert f"/ui/jobs/{waiting['id']}" in links
    body = tree.find(".//tbody[@id='job-rows']")
    assert (body.get("hx-get"), body.get("hx-trigger")) == ("/ui/jobs", "every 2s")
    assert [each.get("value") for each in tree.iter("option")][-1] == dataset["id"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"name": "ALPHA"}, ["alpha 2", "alpha 1"]),
        ({"state": "cancelled"}, ["beta"]),
        ({"dataset": "googl", "name": "1"}, ["alpha 1"]),
        ({"name": "gamma"}, []),
        ({"hidden_dims": "8 , 4"}, ["alpha 2"]),
        ({"obs_dim": "1"}, []),
        ({"tier": "none"}, []),
        ({"metric": "test.sharpe"}, []),
    ],
)
def test_the_list_is_filtered_as_the_address_says(
    service: Service, query: dict[str, str], names: list[str]
) -> None:
    upload_googl(service)
    made = [submit(service, name=name) for name in ("alpha 1", "beta")]
    submit(service, name="alpha 2", hidden_dims=[8, 4])
    service.post(f"/jobs/{made[1]['id']}/cancel")
    tree = read_fragment(service.get("/ui/jobs", params=query, headers=HTMX))
    if names:
        assert [row[0] for row in rows_of(tree, CAPTION)] == names
    else:
        assert "No job matches" in text_of(tree)
    full = read_page(service.get("/ui/jobs", params=query))
    chosen = [each.get("value") or text_of(each) for each in full.iter("option") if "selected" in each.attrib]
    assert [query[name] for name in ("state",) if name in query] == [c for c in chosen if c in page.STATES]


def test_older_jobs_are_a_link_away_and_keep_the_filter(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "SHOWN", 2)
    upload_googl(service)
    for name in ("one", "two", "three"):
        submit(service, name=name)
    first = read_page(service.get("/ui/jobs?state=queued"))
    assert [row[0] for row in rows_of(first, CAPTION)] == ["three", "two"]
    older = next(each for each in first.iter("a") if text_of(each) == "Older").get("href")
    assert older.startswith("/ui/jobs?state=queued&cursor=job_")
    assert [row[0] for row in rows_of(read_page(service.get(older)), CAPTION)] == ["one"]


def test_what_the_api_refuses_is_said(service: Service) -> None:
    assert "state" in text_of(read_page(service.get("/ui/jobs?state=gone"), 422).find(".//main"))
    assert "hidden_dims" in text_of(read_page(service.get("/ui/jobs?hidden_dims=8,"), 422).find(".//main"))
    typed = read_fragment(service.get("/ui/jobs?hidden_dims=8,", headers=HTMX))
    assert "hidden_dims" in text_of(typed.find(".//div[@role='alert']"))
    assert "no dataset" in text_of(read_page(service.get("/ui/jobs?dataset=none"), 404).find(".//main"))
