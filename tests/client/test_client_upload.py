"""Large files go in parts: over breaks and restarts, from a process that has forgotten everything."""

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_service import FakeService, problem
from running_service import running, safetensors_file

from app.actions.compare_weights import answer_weights_diff
from app.client import Client, ServiceError, ServiceUnreachable
from app.client import upload as uploading
from app.registry.database import Database
from app.settings import Settings

PART = 2_000


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading, "PART_BYTES", PART)
    monkeypatch.setattr(uploading, "RETRY_SECONDS", 0.0)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "policy.safetensors"
    file.write_bytes(safetensors_file(60, (40,)))
    return file


class PlayedUploads(FakeService):
    """The three requests of an upload, kept as the service keeps them; `breaks` are met once each."""

    def __init__(self, size: int, breaks: dict[int, Any] | None = None) -> None:
        super().__init__()
        self.content = b""
        self.size = size
        self.breaks = dict(breaks or {})
        self.answers = {
            "POST /uploads": lambda _: self.view(),
            "GET /uploads/u1": lambda _: self.view(),
            "PATCH /uploads/u1": self.take,
            "POST /checkpoints": {"id": "checkpoint_1"},
        }

    def view(self) -> httpx.Response:
        return httpx.Response(200, json={"id": "u1", "received": len(self.content)})

    def take(self, request: httpx.Request) -> httpx.Response:
        assert int(request.headers["upload-offset"]) == len(self.content)
        assert int(request.headers["content-length"]) == len(request.content) <= PART
        broken = self.breaks.pop(len(self.content), None)
        if broken is not None:
            kept, error = broken
            self.content += request.content[:kept]
            if isinstance(error, Exception):
                raise error
            return error
        self.content += request.content
        return self.view()


def test_a_large_file_goes_in_parts_and_progress_is_told(model: Path) -> None:
    played = PlayedUploads(model.stat().st_size)
    told: list[tuple[int, int]] = []
    row = played.client().upload_checkpoint(
        model, name="m", tags=["a", "b"], idempotency_key="k", on_progress=lambda *now: told.append(now)
    )
    assert row == {"id": "checkpoint_1"}
    assert played.content == model.read_bytes()
    size = model.stat().st_size
    assert told == [(min(at, size), size) for at in range(0, size + PART, PART)]
    begun = json.loads(played.asked[0].content)
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    assert begun == {"name": "m", "bytes": size, "sha256": digest}
    finished = played.asked[-1]
    assert finished.headers["idempotency-key"] == "k"
    assert finished.content.count(b'name="tags"') == 2
    assert b'name="upload"\r\n\r\nu1' in finished.content


def test_a_small_file_goes_in_one_request(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    file.write_bytes(b"x" * PART)
    played = FakeService({"POST /checkpoints": {"id": "checkpoint_1"}})
    played.client().upload_checkpoint(file, name="a")
    assert played.paths() == ["POST /checkpoints"]


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadError("reset"),
        httpx.ConnectError("refused"),
        problem(503, "unavailable", "restarting"),
        problem(409, "conflict", "another request is writing"),
    ],
    ids=["reset", "refused", "unavailable", "conflict"],
)
def test_a_break_goes_on_at_the_byte_that_arrived(model: Path, error: Any) -> None:
    played = PlayedUploads(model.stat().st_size, {0: (700, error), 700 + PART: (0, error)})
    assert played.client().upload_checkpoint(model, name="m") == {"id": "checkpoint_1"}
    assert played.content == model.read_bytes()


def test_patience_ends(model: Path) -> None:
    played = PlayedUploads(model.stat().st_size)
    played.answers["PATCH /uploads/u1"] = httpx.ConnectError("refused")
    with pytest.raises(ServiceUnreachable):
        played.client(patience_seconds=0.0).upload_checkpoint(model, name="m")


def test_a_refusal_is_no_break(model: Path) -> None:
    played = PlayedUploads(model.stat().st_size, {PART: (0, problem(413, "limit_exceeded", "too much"))})
    with pytest.raises(ServiceError, match="too much"):
        played.client().upload_checkpoint(model, name="m")
    assert played.paths().count("PATCH /uploads/u1") == 2


class Interrupted(KeyboardInterrupt):
    """Ctrl-C."""


def test_another_process_goes_on_after_ctrl_c_and_a_restart_of_the_service(
    settings: Settings, registry: Database, model: Path
) -> None:
    def stop_after(received: int, size: int) -> None:
        if received >= 2 * PART:
            raise Interrupted

    with running(settings) as service, Client(service.url) as client, pytest.raises(Interrupted):
        client.upload_checkpoint(model, name="m", on_progress=stop_after)
    told: list[int] = []
    with running(settings) as service, Client(service.url) as client:
        row = client.upload_checkpoint(model, name="m", on_progress=lambda now, _: told.append(now))
        again = client.upload_checkpoint(model, name="m")
    assert told[0] == 2 * PART
    assert row["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert again["id"] == row["id"]


def test_a_file_that_changes_meanwhile_is_refused(
    settings: Settings, registry: Database, model: Path
) -> None:
    def change(received: int, size: int) -> None:
        if received == PART:
            model.write_bytes(model.read_bytes()[:-4] + b"\1\1\1\1")

    with running(settings) as service, Client(service.url) as client:
        with pytest.raises(ServiceError, match="was stated"):
            client.upload_checkpoint(model, name="m", on_progress=change)
        assert list(client.checkpoints()) == []


def test_weights_are_compared_by_the_service(settings: Settings, registry: Database, model: Path) -> None:
    with running(settings) as service, Client(service.url) as client:

        def be_the_worker(reason: str) -> None:
            assert reason == "no worker is running"
            answer_weights_diff(service.parts.database, service.parts.storage)

        row = client.upload_checkpoint(model, name="m")
        answer = client.diff_weights(row["id"], row["id"], be_the_worker)
        assert (answer["identical"], answer["left"]) == (True, "m")
