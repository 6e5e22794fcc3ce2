"""The /jobs operations: from submission to cancel and resume, with and without a broker."""

import json
from dataclasses import asdict
from typing import Any

import httpx
import pytest
from factories import make_checkpoint, small_spec, upload_googl
from running_service import Service, eventually, is_problem

from app.jobs.lifecycle import Outcome
from app.market.trading import RETAIL_COSTS
from app.registry.attempts import Claim, claim_job, fail_job
from app.registry.checkpoints import add_checkpoint
from app.registry.database import Database, Session
from app.registry.metrics import record_progress
from app.registry.outbox import next_messages
from app.storage import Storage

COSTS = asdict(RETAIL_COSTS)


@pytest.fixture
def dataset(registry: Database, storage: Storage, settings: Any) -> str:
    return upload_googl(registry, storage, settings).id


def spec(**values: Any) -> dict[str, Any]:
    given = asdict(small_spec(**values))
    names = ("dataset", "environment", "total_timesteps", "hidden_dims", "lookback", "features", "overrides")
    return {name: given[name] for name in (*names, *values)}


def submit(service: Service, key: str | None = None, **values: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return service.post("/jobs", json=spec(**values), headers=headers)


def claim(session: Session, job_id: str) -> Claim:
    claimed = claim_job(session, job_id, "worker-1", 60)
    assert claimed is not None
    return claimed


def test_a_job_is_accepted_with_everything_resolved(service: Service, dataset: str) -> None:
    answer = submit(service)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    assert "idempotent-replay" not in answer.headers
    assert job["state"] == "queued"
    assert job["dataset_id"] == dataset
    assert job["hidden_dims"] == [8]
    assert job["spec"]["total_timesteps"] == 512
    assert job["config"]["ppo"]["num_envs"] == 4
    assert job["reasons"]["num_envs"].startswith("your override")
    assert "no worker" in job["reasons"]["tier"]
    assert job["predicted_bytes"] == job["estimate"]["disk"]["checkpoint"]["bytes"]
    assert job["attempts"] == job["checkpoints"] == []
    assert service.get(answer.headers["location"]).json() == job


def test_a_job_is_accepted_while_the_broker_is_down(service: Service, dataset: str) -> None:
    job = submit(service).json()
    with service.parts.database.read() as session:
        assert [message.job_id for message in next_messages(session, 10)] == [job["id"]]
    problem = is_problem(service.get("/readyz"), 503, "unavailable")
    assert problem["parts"]["redis"] != "ok"
    assert problem["parts"]["database"] == "ok"


def test_a_wake_up_reaches_the_broker_at_once_or_once_it_is_back(
    service: Service, dataset: str, request: pytest.FixtureRequest
) -> None:
    waiting = submit(service).json()
    redis = request.getfixturevalue("redis_server")
    queue, name = service.parts.queue, waiting["queue"]
    eventually(lambda: queue.length(name) >= 1)
    submit(service)
    eventually(lambda: queue.length(name) >= 2)
    redis.kill()


def test_an_idempotency_key_makes_one_job(service: Service, dataset: str) -> None:
    first, again = submit(service, "k1"), submit(service, "k1")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert again.headers["idempotent-replay"] == "true"
    assert again.headers["location"] == first.headers["location"]
    problem = is_problem(submit(service, "k1", seed=2), 409, "idempotency_mismatch")
    assert problem["resource_id"] == first.json()["id"]
    assert submit(service, "k2").json()["id"] != first.json()["id"]
    assert len(service.get("/jobs").json()["items"]) == 2


@pytest.mark.parametrize("key", ["x" * 201, "a b", "é".encode()])
def test_a_key_that_cannot_be_one_is_refused(service: Service, key: Any) -> None:
    problem = is_problem(submit(service, key), 422, "invalid_input")
    assert problem["pointer"] == "idempotency-key"


@pytest.mark.parametrize(
    ("change", "status", "code", "pointer"),
    [
        ({"dataset": "nowhere"}, 404, "not_found", "dataset"),
        ({"total_timesteps": "many"}, 422, "invalid_input", "total_timesteps"),
        ({"total_timesteps": 0}, 422, "invalid_config", "total_timesteps"),
        ({"hidden_dims": [0]}, 422, "invalid_shape", "hidden_dims[0]"),
        ({"hidden_dims": [10**9]}, 422, "invalid_shape", "hidden_dims[0]"),
        ({"overrides": {"gama": 0.9}}, 422, "invalid_config", "gama"),
        ({"overrides": {"gamma": 2}}, 422, "invalid_config", "gamma"),
        ({"training_mode": "slow"}, 422, "invalid_input", "training_mode"),
        ({"environment": {"costs": {**COSTS, "fee": 1}}}, 422, "invalid_input", "environment/costs/fee"),
        ({"environment": {"costs": {**COSTS, "fee_bps": -1}}}, 422, "invalid_config", "fee_bps"),
        ({"environment": {}}, 422, "invalid_input", "environment/costs"),
        (
            {"environment": {"costs": {"fee_bps": 5}}},
            422,
            "invalid_input",
            "environment/costs/half_spread_bps",
        ),
        ({"datasets": ["googl"]}, 422, "invalid_config", "datasets"),
        ({"dataset": None}, 422, "invalid_config", "datasets"),
        ({"dataset": None, "datasets": []}, 422, "invalid_config", "datasets"),
        ({"dataset": None, "datasets": ["googl", "googl"]}, 422, "invalid_config", "datasets/1"),
        ({"dataset": None, "datasets": ["googl", "nowhere"]}, 404, "not_found", "datasets/1"),
        ({"tier": "h9000"}, 422, "invalid_input", "tier"),
        ({"total_timestep": 5}, 422, "invalid_input", "total_timestep"),
        ({"initial_checkpoint": "live"}, 404, "not_found", None),
    ],
)
def test_a_wrong_spec_is_refused(
    service: Service, dataset: str, change: dict[str, Any], status: int, code: str, pointer: str | None
) -> None:
    problem = is_problem(service.post("/jobs", json={**spec(), **change}), status, code)
    assert problem.get("pointer") == pointer
    assert service.get("/jobs").json()["items"] == []


def test_a_misspelt_field_is_answered_with_the_right_one(service: Service) -> None:
    problem = is_problem(service.post("/jobs", json={**spec(), "total_timestep": 5}), 422, "invalid_input")
    assert problem["hint"].startswith("did you mean total_timesteps?")


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"", b'"x"', b"\xff", b'{"dataset": "\\ud800"}'])
def test_a_broken_body_is_refused(service: Service, body: bytes) -> None:
    answer = service.post("/jobs", content=body, headers={"content-type": "application/json"})
    is_problem(answer, 422, "invalid_input")


def test_numbers_that_json_has_not_are_refused(service: Service, dataset: str) -> None:
    text = b'{"dataset": "googl", "total_timesteps": 512, "overrides": {"gamma": NaN}, '
    text += b'"environment": {"costs": %s}}' % json.dumps(COSTS).encode()
    answer = service.post("/jobs", content=text, headers={"content-type": "application/json"})
    assert "NaN" in is_problem(answer, 422, "invalid_input")["detail"]


def test_a_body_over_the_limit_is_refused(service: Service) -> None:
    big = {**spec(), "name": "x" * service.settings.max_body_bytes}
    problem = is_problem(service.post("/jobs", json=big), 413, "limit_exceeded")
    assert problem["limit"] == service.settings.max_body_bytes


def test_jobs_are_listed_by_state_and_dataset(service: Service, dataset: str) -> None:
    ids = [submit(service, seed=seed).json()["id"] for seed in range(3)]
    service.post(f"/jobs/{ids[0]}/cancel")
    listed = service.get("/jobs").json()
    assert [job["id"] for job in listed["items"]] == ids[::-1]
    assert "config" not in listed["items"][0]
    assert [job["id"] for job in service.get("/jobs?state=cancelled").json()["items"]] == ids[:1]
    for name in ("googl", dataset):
        assert len(service.get(f"/jobs?dataset={name}").json()["items"]) == 3
    assert service.get("/jobs?dataset=dataset_0").json()["items"] == []
    page = service.get("/jobs?limit=2").json()
    rest = service.get(f"/jobs?limit=2&cursor={page['next_cursor']}").json()
    assert [job["id"] for job in page["items"] + rest["items"]] == ids[::-1]
    is_problem(service.get("/jobs?dataset=nowhere"), 404, "not_found")
    is_problem(service.get("/jobs?state=asleep"), 422, "invalid_input")


def test_a_queued_job_is_withdrawn_and_resumed(service: Service, dataset: str) -> None:
    job = submit(service).json()
    cancelled = service.post(f"/jobs/{job['id']}/cancel")
    assert cancelled.status_code == 200
    assert cancelled.json()["state"] == "cancelled"
    problem = is_problem(service.post(f"/jobs/{job['id']}/cancel"), 409, "illegal_move")
    assert problem["state"] == "cancelled"
    resumed = service.post(f"/jobs/{job['id']}/resume")
    assert resumed.status_code == 202
    assert resumed.json()["state"] == "queued"
    is_problem(service.post(f"/jobs/{job['id']}/resume"), 409, "illegal_move")


def test_a_running_job_shows_attempt_progress_and_wish_to_cancel(
    service: Service, registry: Database, dataset: str
) -> None:
    job_id = submit(service).json()["id"]
    with registry.write() as session:
        held = claim(session, job_id)
        record_progress(session, held.hold, 128, {"step": 128, "loss": 0.5})
        add_checkpoint(session, make_checkpoint(job_id=job_id, kind="periodic", step=128))
    job = service.post(f"/jobs/{job_id}/cancel").json()
    assert (job["state"], job["desired"]) == ("running", "cancel")
    assert job["progress"] == {"step": 128, "loss": 0.5}
    assert [checkpoint["step"] for checkpoint in job["checkpoints"]] == [128]
    (attempt,) = job["attempts"]
    assert (attempt["number"], attempt["worker"], attempt["outcome"]) == (1, "worker-1", None)


def test_a_failed_job_says_why(service: Service, registry: Database, dataset: str) -> None:
    job_id = submit(service).json()["id"]
    error = {"code": "training_diverged", "detail": "the loss became NaN"}
    with registry.write() as session:
        fail_job(session, claim(session, job_id).hold, error, Outcome.FAILED)
    job = service.get(f"/jobs/{job_id}").json()
    assert (job["state"], job["error"]) == ("failed", error)
    assert job["attempts"][0]["outcome"] == "failed"
    assert job["attempts"][0]["reason"] == "the loss became NaN"


@pytest.mark.parametrize("path", ["", "/metrics", "/events", "/log"])
def test_an_unknown_job_is_not_found(service: Service, path: str) -> None:
    is_problem(service.get(f"/jobs/job_unknown{path}"), 404, "not_found")
    is_problem(service.get(f"/jobs/%00{path}"), 422, "invalid_input")


@pytest.mark.parametrize("verb", ["cancel", "resume"])
def test_an_unknown_job_cannot_be_moved(service: Service, verb: str) -> None:
    is_problem(service.post(f"/jobs/job_unknown/{verb}"), 404, "not_found")


def test_a_job_on_a_deleted_dataset_is_still_listed_but_cannot_resume(service: Service, dataset: str) -> None:
    job_id = submit(service).json()["id"]
    service.post(f"/jobs/{job_id}/cancel")
    service.http.delete(f"/datasets/{dataset}")
    assert len(service.get(f"/jobs?dataset={dataset}").json()["items"]) == 1
    answer = service.post(f"/jobs/{job_id}/resume")
    is_problem(answer, 409, "conflict")
    assert "was deleted" in answer.json()["detail"]
