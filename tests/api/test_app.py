"""create_app(): what is put together, what runs beside the requests, how it ends."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from factories import make_dataset, make_job
from running_service import Service, eventually, running

from app.main import create_app, relay_all
from app.registry.attempts import claim_job
from app.registry.database import Database
from app.registry.jobs import add_job
from app.registry.outbox import next_messages
from app.settings import Settings

ROOT = Path(__file__).parents[2]


def add_queued_job(registry: Database) -> str:
    with registry.write() as session:
        dataset = make_dataset()
        session.add(dataset)
        session.flush()
        return str(add_job(session, make_job(dataset)).id)


def test_the_app_reads_its_settings_from_the_environment(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("CALIPER_DATA_DIR", str(tmp_path / "here"))
    app = create_app()
    assert app.state.parts.settings.data_dir == tmp_path / "here"
    assert (tmp_path / "here" / "tmp").is_dir()
    app.state.parts.queue.close()
    app.state.parts.database.close()


def test_a_job_without_a_broker_is_published_once_it_is_back(
    service: Service, registry: Database, request: pytest.FixtureRequest
) -> None:
    add_queued_job(registry)
    request.getfixturevalue("redis_server")
    eventually(lambda: service.parts.queue.length("caliper.cpu") == 1)
    eventually(lambda: not _pending(registry))


def test_a_lost_message_is_sent_again(service: Service, registry: Database, redis_server: Any) -> None:
    add_queued_job(registry)
    eventually(lambda: service.parts.queue.length("caliper.cpu") == 1)
    redis_server.kill()
    for path in (service.settings.data_dir / "redis").rglob("*"):
        if path.is_file():
            path.unlink()  # Redis forgets everything
    redis_server.start()
    eventually(lambda: service.parts.queue.length("caliper.cpu") == 1)


def test_a_silent_worker_loses_its_job_and_another_may_take_it(
    settings: Settings, registry: Database, redis_server: Any
) -> None:
    job_id = add_queued_job(registry)
    with registry.write() as session:
        assert claim_job(session, job_id, "worker-1", lease_seconds=-1)
    with running(settings) as service:
        job = eventually(lambda: _in_state(service, job_id, "queued"))
        assert job["attempts"][0]["outcome"] == "worker_lost"
        eventually(lambda: service.parts.queue.length("caliper.cpu") >= 1)


def test_relay_all_sends_more_than_one_batch(
    settings: Settings, registry: Database, redis_server: Any
) -> None:
    app = create_app(settings)
    parts = app.state.parts
    with registry.write() as session:
        dataset = make_dataset()
        session.add(dataset)
        session.flush()
        ids = [add_job(session, make_job(dataset)).id for _ in range(120)]
    relay_all(parts.database, parts.queue)
    assert _pending(registry) == []
    assert parts.queue.length("caliper.cpu") == len(ids)
    parts.queue.close()
    parts.database.close()


def test_no_thread_of_the_app_outlives_it(settings: Settings, registry: Database) -> None:
    with running(settings):
        names = {thread.name for thread in threading.enumerate()}
        assert {"caliper-relay", "caliper-sweep", "caliper-upload sweep"} <= names
    left = {thread.name for thread in threading.enumerate()}
    assert not {name for name in left if name.startswith("caliper-")}


def test_an_open_event_stream_does_not_hold_up_the_end(settings: Settings, registry: Database) -> None:
    job_id = add_queued_job(registry)
    with running(settings) as service, service.http.stream("GET", f"/jobs/{job_id}/events") as answer:
        assert next(answer.iter_lines()) == "retry: 2000"


def test_logs_are_json_lines_without_the_values_of_variables(tmp_path: Path) -> None:
    code = (
        "import structlog; from pathlib import Path; from app.main import create_app; from app.settings import Settings;"
        f"create_app(Settings(data_dir=Path({str(tmp_path)!r})));"
        "\ndef fail():\n    password = 'hunter2'\n    1 / 0\n"
        "try: fail()\nexcept ZeroDivisionError: structlog.get_logger().exception('failed', job_id='j')"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    import json

    entry = json.loads(ran.stderr.splitlines()[-1])
    assert (entry["event"], entry["job_id"], entry["level"]) == ("failed", "j", "error")
    assert "ZeroDivisionError" in entry["exception"]
    assert "hunter2" not in ran.stderr.replace("password = 'hunter2'", "")


def _pending(registry: Database) -> list[Any]:
    with registry.read() as session:
        return list(next_messages(session, 1_000))


def _in_state(service: Service, job_id: str, state: str) -> Any:
    job = service.get(f"/jobs/{job_id}").json()
    return job if job["state"] == state else None
