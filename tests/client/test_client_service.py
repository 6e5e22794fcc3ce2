"""Client against the real API on a real socket: what it asks for is what the service takes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from running_service import Service, running, safetensors_file

from app.client import Client, ServiceError, ServiceUnreachable
from app.registry.database import Database
from app.registry.events import record_event
from app.registry.jobs import get_job
from app.settings import Settings

GOOGL = Path(__file__).parents[2] / "examples" / "data" / "googl_1d.csv"
DECLARED = {
    "bar_seconds": 86400,
    "calendar": "XNYS",
    "label": "open",
    "adjusted": "split",
    "volume_unit": "shares",
}
SPEC = {
    "dataset": "googl",
    "environment": {
        "costs": {"fee_bps": 5, "half_spread_bps": 1, "slippage": 0.02, "borrow_bps_per_year": 300}
    },
    "total_timesteps": 512,
    "hidden_dims": [8],
    "lookback": 5,
    "features": ["ret_1"],
    "tier": "cpu",
}


@pytest.fixture
def service(settings: Settings, registry: Database) -> Iterator[Service]:
    with running(settings) as started:
        yield started


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.url) as client:
        yield client


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "policy.safetensors"
    file.write_bytes(safetensors_file())
    return file


def test_sizes_tiers_and_recommendation(client: Client) -> None:
    sized = client.estimate(5300, (2048, 1024, 512, 256), num_minibatches=8, layer_norm=False)
    assert sized["parameters"] == 13_643_908
    assert "cpu" in [tier["name"] for tier in client.tiers()]
    assert client.recommendation(rows=2335, obs_dim=5300, use_case="quick")


def test_bars_go_up_and_come_back_in_the_list(client: Client) -> None:
    uploaded = client.upload_dataset(GOOGL, name="googl", declarations=DECLARED, source="PyPI", licence="MIT")
    assert uploaded["rows"] == 2335
    assert uploaded["declarations"]["calendar"] == "XNYS"
    assert [row["id"] for row in client.datasets()] == [uploaded["id"]]
    assert client.dataset("googl")["licence"] == "MIT"


def test_a_breach_of_the_bar_contract_carries_its_findings(client: Client, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("timestamp,open,high,low,close\n2020-01-01,1,2,3,4\n")
    with pytest.raises(ServiceError) as caught:
        client.upload_dataset(tmp_path / "bad.csv", name="bad", declarations={})
    assert caught.value.code == "invalid_dataset"
    assert caught.value.extra["findings"]


def test_a_job_from_submission_to_its_end(client: Client, service: Service) -> None:
    client.upload_dataset(GOOGL, name="googl", declarations=DECLARED)
    job = client.submit_job(SPEC, idempotency_key="once")
    assert client.submit_job(SPEC, idempotency_key="once")["id"] == job["id"]
    assert [row["id"] for row in client.jobs(state="queued")] == [job["id"]]
    with service.parts.database.write() as session:
        record_event(session, job["id"], "progress", {"global_step": 7})
    assert client.cancel(job["id"])["state"] == "cancelled"
    events = list(client.events(job["id"]))
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert ("progress", 7) in [(event.kind, event.data.get("global_step")) for event in events]
    assert events[-1].ends_job
    assert list(client.events(job["id"], after=events[-1].id)) == []
    assert "cancelled" in client.log(job["id"])
    assert client.metrics(job["id"], ["entropy"], after_step=0)["points"] == []


def test_a_resumed_job_is_followed_to_its_second_end(client: Client, service: Service) -> None:
    client.upload_dataset(GOOGL, name="googl", declarations=DECLARED)
    job = client.submit_job(SPEC)
    client.cancel(job["id"])
    assert client.resume(job["id"])["state"] == "queued"
    client.cancel(job["id"])
    states = [event.data["state"] for event in client.events(job["id"]) if event.kind == "state"]
    assert states.count("cancelled") == 2
    with service.parts.database.read() as session:
        assert get_job(session, job["id"]).state == "cancelled"


def test_a_checkpoint_goes_up_and_comes_down_the_same(client: Client, model: Path, tmp_path: Path) -> None:
    row = client.upload_checkpoint(model, name="mine", tags=["a", "b"], idempotency_key="k")
    assert row["tags"] == ["a", "b"]
    assert [found["id"] for found in client.checkpoints(tag="a")] == [row["id"]]
    (tmp_path / f".copy.{row['sha256'][:16]}.part").write_bytes(model.read_bytes()[:100])
    copy = client.download(row["id"], tmp_path / "copy")
    assert copy.read_bytes() == model.read_bytes()


def test_files_are_inspected_and_compared(client: Client, model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(safetensors_file(hidden=(4,)))
    assert client.inspect_checkpoint(model)["architecture"]["hidden_dims"]["value"] == [8, 4]
    left, right = (client.upload_checkpoint(file, name=file.name)["id"] for file in (model, other))
    registered, files = client.diff(left, right), client.diff_files(model, other)
    assert registered["weights_load"] is files["weights_load"] is False
    assert registered["parameters_delta"] == files["parameters_delta"] < 0


def test_what_the_service_refuses_says_where(client: Client) -> None:
    with pytest.raises(ServiceError) as caught:
        client.submit_job({"dataset": "none", "total_timestep": 1})
    assert caught.value.status == 422
    assert "total_timesteps" in caught.value.hint + caught.value.detail
    with pytest.raises(ServiceError) as caught:
        client.job("job_none")
    assert caught.value.code == "not_found"


def test_a_service_without_redis_and_worker_is_not_ready(client: Client) -> None:
    with pytest.raises(ServiceUnreachable, match="not ready") as caught:
        client.ready()
    assert set(caught.value.extra["parts"]) == {"database", "redis", "worker"}
    assert client.workers() == []
