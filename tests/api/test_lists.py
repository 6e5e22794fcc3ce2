"""What all lists have in common: `fields=`; and what lists of jobs can be filtered by."""

import re
from typing import Any

import pytest
from factories import make_job
from job_rows import upload_googl
from running_service import Service, is_problem

from app.client import Caliper, Client, ServiceError
from app.registry.database import Database
from app.registry.datasets import find_dataset
from app.registry.jobs import add_job
from app.registry.measured import add_job_metrics
from app.registry.workers import describe_worker, register_worker

LISTS = ("/jobs", "/datasets", "/checkpoints", "/calibrations", "/keys", "/audit")


@pytest.fixture
def full(service: Service, registry: Database) -> Service:
    """Something in every list."""
    upload_googl(service)
    service.upload_checkpoint(name="policy", tags=["daily"])
    with registry.write() as session:
        dataset = find_dataset(session, "googl")
        config = {"datasets": [{"id": dataset.id}]}
        add_job(session, make_job(dataset, id="job_" + "1" * 22, name="first", config=config))
        add_job(
            session,
            make_job(
                dataset, id="job_" + "2" * 22, name="second", hidden_dims="64,32", tier="mid", config=config
            ),
        )
        add_job_metrics(session, "job_" + "2" * 22, {"test": {"sharpe": 1.25}})
    return service


@pytest.mark.parametrize("path", LISTS[:3])
def test_a_list_shows_the_fields_that_were_asked_for(full: Service, path: str) -> None:
    whole = full.get(path).json()
    for names in (["id"], ["name", "id"], list(whole["items"][0])):
        answer = full.get(path, params={"fields": ",".join(names)}).json()
        wanted = [{name: item[name] for name in names} for item in whole["items"]]
        assert answer == {"items": wanted, "next_cursor": None}


@pytest.mark.parametrize("path", LISTS)
def test_an_unknown_field_is_refused_with_those_that_there_are(service: Service, path: str) -> None:
    for asked in ("id,nam", "nam", "", "id,", "id, name", "config", "__class__"):
        problem = is_problem(service.get(path, params={"fields": asked}), 422, "invalid_input")
        assert problem["pointer"] == "fields", asked
        assert "id, " in problem["hint"], asked


def test_a_field_that_is_nearly_right_is_guessed(service: Service) -> None:
    problem = is_problem(service.get("/jobs?fields=hidden_dim"), 422, "invalid_input")
    assert problem["hint"].startswith("did you mean hidden_dims? known: id, name, state")


def test_fields_and_pages_go_together(full: Service) -> None:
    page = full.get("/jobs?fields=name&limit=1").json()
    assert page["items"] == [{"name": "second"}]
    rest = full.get(f"/jobs?fields=name&limit=1&cursor={page['next_cursor']}").json()
    assert rest == {"items": [{"name": "first"}], "next_cursor": None}


def test_the_client_in_json_takes_them_and_the_typed_one_says_what_is_missing(full: Service) -> None:
    with Client(full.url) as client:
        assert list(client.jobs(fields="name")) == [{"name": "second"}, {"name": "first"}]
    with Caliper(full.url) as client:
        assert [job.name for job in client.jobs(hidden_dims="64,32")] == ["second"]
        with pytest.raises(ServiceError, match="no JobView"):
            next(client.jobs(fields="name"))


@pytest.mark.parametrize("path", LISTS)
def test_the_document_says_which_fields_there_are(service: Service, path: str) -> None:
    document = service.get("/openapi.json").json()
    operation = document["paths"][path]["get"]
    (parameter,) = [each for each in operation["parameters"] if each["name"] == "fields"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    page = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    whole, some = page["properties"]["items"]["items"]["anyOf"]
    view = document["components"]["schemas"][whole["$ref"].rpartition("/")[2]]
    assert some["type"] == "object"
    assert all(name in parameter["description"] for name in view["properties"])
    pattern = parameter["schema"]["pattern"]
    assert re.fullmatch(pattern, ",".join(view["properties"]))
    assert not any(re.fullmatch(pattern, wrong) for wrong in ("", "id,", "nobody", "id,nobody"))


def test_the_list_of_workers_takes_them_too(service: Service, registry: Database) -> None:
    with registry.write() as session:
        register_worker(session, describe_worker("one", "caliper.cpu", "cpu", {"name": "CPU"}, {}))
    assert service.get("/workers?fields=id,tier").json() == [{"id": "one", "tier": "cpu"}]
    assert is_problem(service.get("/workers?fields=gpu"), 422, "invalid_input")["pointer"] == "fields"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"hidden_dims": "64,32"}, ["second"]),
        ({"hidden_dims": "8"}, ["first"]),
        ({"obs_dim": 5300}, ["second", "first"]),
        ({"obs_dim": 5301}, []),
        ({"tier": "mid"}, ["second"]),
        ({"name": "FIR"}, ["first"]),
        ({"metric": "test.sharpe"}, ["second"]),
        ({"metric": "test.sharpe", "metric_min": 1.25}, ["second"]),
        ({"metric": "test.sharpe", "metric_max": 1.2}, []),
        ({"metric": "test.sharpe", "dataset": "googl", "state": "queued", "tier": "mid"}, ["second"]),
    ],
    ids=str,
)
def test_jobs_are_filtered(full: Service, query: dict[str, Any], names: list[str]) -> None:
    assert [job["name"] for job in full.get("/jobs", params=query).json()["items"]] == names


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"hidden_dims": "64x32"}, "hidden_dims"),
        ({"hidden_dims": ""}, "hidden_dims"),
        ({"obs_dim": 0}, "obs_dim"),
        ({"name": ""}, "name"),
        ({"metric": "test."}, "metric"),
        ({"metric_min": 1}, "metric"),
        ({"metric": "test.sharpe", "metric_max": "nan"}, "metric_max"),
        ({"hidden": "8"}, "hidden"),
    ],
    ids=str,
)
def test_a_wrong_filter_of_jobs_is_refused(service: Service, query: dict[str, Any], pointer: str) -> None:
    assert is_problem(service.get("/jobs", params=query), 422, "invalid_input")["pointer"] == pointer
