"""One search over the logs of all processes follows a job from the request that made it; none of them holds a secret."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from factories import GOOGL
from job_rows import SPEC
from running_service import eventually

from app.local import LocalStack
from app.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("journeys"), pytest.mark.timeout(240)]

ID = "nightly-run.2026-11-23"
SECRET = "never-to-be-written"


@pytest.fixture
def settings(tmp_path: Path, free_port: int) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        port=free_port,
        default_tier="cpu",
        relay_seconds=0.2,
        probe_seconds=1,
        database_password=SECRET,
        redis_password=SECRET,
    )


@pytest.fixture
def told() -> list[str]:
    """What the stack told its terminal."""
    return []


@pytest.fixture
def stack(settings: Settings, told: list[str]) -> Iterator[LocalStack]:
    with LocalStack(settings, progress=told.append) as stack:
        yield stack


def lines(settings: Settings) -> list[dict[str, Any]]:
    """Every line of API and worker: each is a JSON object, with an event, a level and a time."""
    found = []
    for name in ("api", "worker"):
        for line in (settings.logs_dir / f"{name}.log").read_text().splitlines():
            entry = json.loads(line)
            assert {"event", "level", "timestamp", "process"} <= set(entry), line
            found.append(entry)
    return found


def test_one_id_leads_through_api_worker_and_trainer(
    stack: LocalStack, settings: Settings, told: list[str]
) -> None:
    with httpx.Client(base_url=stack.url, trust_env=False, timeout=60) as client:
        form = {"name": "googl", "calendar": "XNYS", "adjusted": "split", "volume_unit": "shares"}
        client.post("/datasets", files={"file": ("googl.csv", GOOGL.read_bytes())}, data=form)
        answer = client.post(
            "/jobs", json=SPEC, headers={"X-Request-ID": ID, "Authorization": f"Bearer {SECRET}"}
        )
        assert answer.headers["x-request-id"] == ID
        job_id = answer.json()["id"]
        eventually(lambda: client.get(f"/jobs/{job_id}").json()["state"] == "succeeded", 90)
    # The last lines come after the job's end: the supervisor's, then Celery's.
    eventually(lambda: [line for line in lines(settings) if "succeeded in" in line["event"]], 30)
    followed = [line for line in lines(settings) if line.get("request_id") == ID]
    by_process = {
        name: [line for line in followed if line["process"] == name] for name in ("api", "worker", "trainer")
    }
    assert [line["event"] for line in by_process["api"]] == ["job submitted", "request"]
    ours = [line["event"] for line in by_process["worker"] if "logger" not in line]
    assert ours == ["job claimed", "attempt ended"]
    celerys = [line["event"] for line in by_process["worker"] if "logger" in line]
    assert [event for event in celerys if "succeeded" in event], "Celery's lines carry the id too"
    assert by_process["trainer"]
    for line in (*by_process["worker"], *by_process["trainer"]):
        assert (line["job_id"], line["attempt"], line["fence"]) == (job_id, 1, 1)
    assert {line["worker"] for line in by_process["worker"]} != {""}
    received = [line for line in lines(settings) if line.get("logger", "").startswith("celery")]
    assert [line for line in received if job_id in line["event"]], "Celery's own lines name the job"
    for path in settings.logs_dir.iterdir():
        assert SECRET not in path.read_text(errors="replace"), path.name
    assert all(not line.startswith("{") for line in told), "the terminal is for people"
