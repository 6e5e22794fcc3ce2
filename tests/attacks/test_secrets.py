"""Keys and passwords show nowhere: not in logs, problems, the audit, reprs, error messages or command lines."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from keyed_service import Keyed, keyed_service
from sqlalchemy import text

from app.access import make_key
from app.actions.make_key import KeyWish
from app.client import AsyncCaliper, AsyncClient, Caliper, Client, ServiceError
from app.client.connection import address_of
from app.registry.database import Database
from app.settings import Settings

PASSWORDS = ("pw-database-5d1f", "pw-redis-77aa", "pw-query-9e0c")


@pytest.fixture
def keyed(settings: Settings, registry: Database) -> Iterator[Keyed]:
    with keyed_service(settings, log_level="DEBUG") as started:
        yield started


def secrets_of(keyed: Keyed) -> list[str]:
    """What only the holder of each key knows."""
    return [key.split("_", 2)[-1] for key in keyed.keys.values()] + list(PASSWORDS)


def use(keyed: Keyed) -> list[httpx.Response]:
    """Requests with keys in every place where one may stand by mistake, and with passwords in URLs."""
    key, wrong = keyed.keys["admin"], make_key().secret
    keyed.keys["wrong"] = wrong
    url = f"postgresql://u:{PASSWORDS[0]}@db/x"
    answers = [
        keyed.ask("admin", "GET", "/keys"),
        keyed.ask("wrong", "POST", "/jobs", json={"dataset": url}),
        keyed.service.post("/jobs", headers={"Authorization": f"Basic {key}"}, json={}),
        keyed.ask("reader", "POST", "/jobs", json={}),
        keyed.ask("admin", "GET", "/jobs", params={"api_key": "x", "password": PASSWORDS[2]}),
        keyed.ask("admin", "DELETE", "/datasets/nothing"),
        keyed.ask("admin", "POST", "/keys", json={"name": "n", "role": "reader", "days": -1}),
        keyed.service.http.post(
            "/ui/sign-in", data={"key": wrong}, headers={"Sec-Fetch-Site": "same-origin"}
        ),
        keyed.service.get("/ui/jobs", headers={"Cookie": f"caliper_key={key}"}),
        keyed.ask("admin", "GET", "/metrics"),
    ]
    made = keyed.ask("admin", "POST", "/keys", json={"name": "new", "role": "reader"})
    keyed.keys["new"] = made.json()["key"]
    return [*answers, keyed.ask("new", "GET", "/keys/self")]


def test_no_log_line_problem_or_row_holds_one(keyed: Keyed, capfd: pytest.CaptureFixture[str]) -> None:
    answers = use(keyed)
    logged = "".join(capfd.readouterr())
    assert "/datasets/nothing" in logged  # something is told
    with keyed.service.parts.database.read() as session:
        tables = [
            row[0] for row in session.execute(text("SELECT name FROM sqlite_master WHERE type='table'"))
        ]
        rows = "".join(str(session.execute(text(f'SELECT * FROM "{table}"')).all()) for table in tables)
    assert "n" in rows
    bodies = "".join(answer.text + str(answer.headers) for answer in answers)
    for secret in secrets_of(keyed):
        assert secret not in logged
        assert secret not in rows
        # A refusal names what was wrong with a value, and a name of a dataset is a value.
        if secret not in PASSWORDS:
            assert secret not in bodies


def test_an_unexpected_error_s_trace_holds_none(
    keyed: Keyed, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("defect")

    monkeypatch.setattr("app.api.callers.verify_key", fail)
    keyed.service.parts.gate.callers.forget()
    with pytest.raises(httpx.HTTPError):
        answer = keyed.ask("admin", "GET", "/jobs")
        assert answer.status_code == 500
        raise httpx.HTTPError(answer.text)
    logged = "".join(capfd.readouterr())
    assert "defect" in logged
    assert keyed.keys["admin"] not in logged


def test_no_repr_holds_one(settings: Settings, service_settings: Settings) -> None:
    key = make_key()
    shown = [key, settings, service_settings, address_of("http://h", None, None, key.secret)]
    for kind in (Client, AsyncClient, Caliper, AsyncCaliper):
        client = kind("http://127.0.0.1:1", api_key=key.secret)
        shown += [client, vars(client), getattr(client, "json", client)._address]
    text_of_all = f"{shown!r} {shown} {KeyWish.__name__}"
    for secret in (key.secret, *PASSWORDS[:2]):
        assert secret not in text_of_all


@pytest.fixture
def service_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CALIPER_DATABASE_URL", "postgresql+psycopg://caliper@db/caliper")
    monkeypatch.setenv("CALIPER_DATABASE_PASSWORD", PASSWORDS[0])
    monkeypatch.setenv("CALIPER_REDIS_URL", f"redis://:{PASSWORDS[1]}@redis:6379/0")
    return Settings(data_dir=settings.data_dir)


@pytest.mark.parametrize("key", ["caliper_x\nX-Other: 1", "caliper_\u00e9", "a b", "\x00"])
def test_a_key_that_no_header_can_hold_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(ServiceError) as caught:
        Client("http://127.0.0.1:1", api_key=key)
    assert key not in f"{caught.value!r} {caught.value}"


def test_a_client_s_errors_hold_none(keyed: Keyed) -> None:
    key = keyed.keys["reader"]
    with Client(keyed.service.url, api_key=key) as client, pytest.raises(ServiceError) as caught:
        client.cancel("job_x")
    assert key not in f"{caught.value!r} {caught.value.hint} {caught.value.extra}"
    with (
        Client("http://127.0.0.1:1", api_key=key, retries=0) as client,
        pytest.raises(ServiceError) as caught,
    ):
        client.jobs().__next__()
    assert key not in f"{caught.value!r} {caught.value.hint}"


def test_no_command_line_of_a_process_holds_one(tmp_path: Path, service_settings: Settings) -> None:
    """The children of a one-machine stack, whose command lines every user of the machine may read."""
    from app.local.services import default_services

    services = default_services(service_settings.model_copy(update={"default_tier": "cpu"}))
    commands = " ".join(word for each in services for word in each.command)
    assert "uvicorn" in commands
    assert "celery" in commands
    for secret in PASSWORDS[:2]:
        assert secret not in commands
        assert secret not in f"{services!r}"


def test_the_terminal_keeps_a_key_to_itself(keyed: Keyed, tmp_path: Path) -> None:
    key = keyed.keys["reader"]
    environment = {**os.environ, "CALIPER_API_KEY": key, "CALIPER_URL": keyed.service.url}
    for words in (["workers", "--json"], ["jobs", "show", "job_x"], ["audit"], ["--help"]):
        process = subprocess.Popen(
            [_caliper(), *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
        said, _ = process.communicate(timeout=60)
        assert key not in line
        assert key not in said
        assert "Traceback" not in said


def _caliper() -> str:
    return str(Path(sys.executable).with_name("caliper"))
