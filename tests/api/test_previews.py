"""What can be asked before anything is stored: a job's preview, a dataset's check and splits; and what waits."""

from typing import Any

import pytest
from factories import GOOGL
from running_service import Service, is_problem

from app.registry.attempts import claim_job
from app.registry.database import Database
from app.registry.workers import describe_worker, register_worker

DECLARED = {"calendar": "XNYS", "adjusted": "split", "volume_unit": "shares"}
COSTS = {"fee_bps": 5, "half_spread_bps": 1, "slippage": 0.02, "borrow_bps_per_year": 300}
SPEC: dict[str, Any] = {
    "dataset": "googl",
    "environment": {"costs": COSTS},
    "total_timesteps": 512,
    "hidden_dims": [8],
    "lookback": 5,
    "features": ["ret_1"],
}


def send(service: Service, path: str, content: bytes, **form: Any) -> Any:
    files = {"file": ("googl.csv", content)}
    return service.post(path, files=files, data={"name": "googl", **DECLARED, **form})


@pytest.fixture
def dataset(service: Service) -> dict[str, Any]:
    body: dict[str, Any] = send(service, "/datasets", GOOGL.read_bytes()).json()
    return body


def test_a_preview_is_the_job_that_would_be_and_stores_nothing(
    service: Service, dataset: dict[str, Any]
) -> None:
    answer = service.post("/jobs/preview", json=SPEC)
    assert answer.status_code == 200, answer.text
    preview = answer.json()
    assert service.get("/jobs").json()["items"] == []
    job = service.post("/jobs", json=SPEC).json()
    assert preview == {name: job[name] for name in preview}
    assert preview["dataset_ids"] == [dataset["id"]]
    assert preview["reasons"]["lookback"] == "as asked for"
    assert any(fit["fits"] for fit in preview["estimate"]["fits"])


def test_a_preview_is_refused_as_the_job_would_be(service: Service, dataset: dict[str, Any]) -> None:
    huge = {**SPEC, "hidden_dims": [60_000, 60_000], "tier": "cpu"}
    problem = is_problem(service.post("/jobs/preview", json=huge), 422, "does_not_fit")
    refused = is_problem(service.post("/jobs", json=huge), 422, "does_not_fit")
    assert {**problem, "request_id": ""} == {**refused, "request_id": ""}
    wrong = {**SPEC, "environment": {"costs": {**COSTS, "fee_bps": -1}}}
    assert "fee_bps" in is_problem(service.post("/jobs/preview", json=wrong), 422, "invalid_config")["detail"]
    group = {**SPEC, "folds": 2, "walk_forward": "g"}
    service.post("/jobs", json={**group, "fold": 1})
    other = {**group, "fold": 2, "total_timesteps": 1024}
    is_problem(service.post("/jobs/preview", json=other), 409, "conflict")


def test_a_check_reports_what_an_upload_would_and_keeps_nothing(service: Service) -> None:
    answer = send(service, "/datasets/check", GOOGL.read_bytes())
    assert answer.status_code == 200, answer.text
    check = answer.json()
    assert service.get("/datasets").json()["items"] == []
    assert check.pop("chart_svg").startswith("<svg ")
    stored = send(service, "/datasets", GOOGL.read_bytes()).json()
    assert check == {name: stored[name] for name in check}


def test_a_check_lists_every_breach(service: Service) -> None:
    lines = GOOGL.read_text().splitlines()
    broken = "\n".join([*lines[:700], "2012-01-01,1,0.5,2,1,1,1", *lines[700:]]).encode()
    problem = is_problem(send(service, "/datasets/check", broken), 422, "invalid_dataset")
    assert problem["findings"]
    assert (
        problem["findings"]
        == is_problem(send(service, "/datasets", broken), 422, "invalid_dataset")["findings"]
    )


def test_splits_have_rows_and_dates(service: Service, dataset: dict[str, Any]) -> None:
    body = service.get("/datasets/googl/splits", params={"lookback": 50}).json()
    (fold,) = body["folds"]
    assert [span["name"] for span in fold["spans"]] == ["train", "validation", "test"]
    assert fold["spans"][-1]["last_bar"].startswith("2018-08")
    assert [each["number"] for each in service.get("/datasets/googl/splits?folds=3").json()["folds"]] == [
        1,
        2,
        3,
    ]
    is_problem(service.get("/datasets/googl/splits?folds=21"), 422, "invalid_input")
    is_problem(service.get("/datasets/googl/splits?lookback=2000"), 422, "invalid_dataset")
    is_problem(service.get("/datasets/none/splits"), 404, "not_found")


def test_jobs_are_found_by_part_of_their_name(service: Service, dataset: dict[str, Any]) -> None:
    for name in ("First run", "second 100%", "third"):
        assert service.post("/jobs", json={**SPEC, "name": name}).status_code == 202

    def found(text: str) -> list[str]:
        return [job["name"] for job in service.get("/jobs", params={"name": text}).json()["items"]]

    assert found("FIRST") == ["First run"]
    assert found("ir") == ["third", "First run"]
    assert found("%") == ["second 100%"]
    assert found("_") == []
    is_problem(service.get("/jobs?name="), 422, "invalid_input")


def test_the_queue_and_its_workers_say_what_runs(
    service: Service, registry: Database, dataset: dict[str, Any]
) -> None:
    jobs = [service.post("/jobs", json={**SPEC, "name": name}).json() for name in ("a", "b")]
    with registry.write() as session:
        register_worker(session, describe_worker("caliper@one", "caliper.cpu", "cpu", {"name": "CPU"}, {}))
        claim_job(session, jobs[0]["id"], "caliper@one", 60)
    (worker,) = service.get("/workers").json()
    assert worker["job"]["job_id"] == jobs[0]["id"]
    state = service.get("/queue").json()
    assert "Redis does not answer" in state["broker"]
    cpu = state["tiers"][-1]
    assert (cpu["tier"], cpu["workers"], cpu["waiting_count"]) == ("cpu", 1, 1)
    assert cpu["running"] == [worker["job"]]
    assert cpu["waiting"][0]["job_id"] == jobs[1]["id"]
    assert "broker" in cpu["waiting"][0]["why"]
