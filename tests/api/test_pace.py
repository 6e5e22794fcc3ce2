"""Bodies that come too slowly, by a clock of the test's own and on real connections."""

import socket
import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from running_service import Service, eventually, safetensors_file

from app.api.pace import Pace, PacedBody
from app.settings import Settings
from app.storage import INCOMING

MESSAGE = {"type": "http.request", "body": b"x" * 10, "more_body": True}


class Sender:
    """Messages with pauses before them, on a clock that only they move; a pause beyond the wait is cut off."""

    def __init__(self, *pauses: float, size: int = 10) -> None:
        self.now = 0.0
        self.pauses = list(pauses)
        self.size = size

    def clock(self) -> float:
        return self.now

    async def __call__(self) -> dict[str, Any]:
        self.now += self.pauses.pop(0)
        return {"type": "http.request", "body": b"x" * self.size, "more_body": bool(self.pauses)}


def read_all(sender: Sender, pace: Pace) -> PacedBody:
    body = PacedBody(sender, pace, sender.clock)

    async def run() -> None:
        message: Any = MESSAGE
        while message["type"] == "http.request" and message["more_body"]:
            message = await body()

    anyio.run(run)
    return body


def test_a_steady_body_passes() -> None:
    body = read_all(Sender(*[1.0] * 30), Pace(rate=10, stall_seconds=5, most_seconds=100))
    assert body.failure is None


def test_a_body_below_the_rate_is_given_up_after_one_span() -> None:
    sender = Sender(*[1.0] * 30, size=9)
    body = read_all(sender, Pace(rate=10, stall_seconds=5, most_seconds=100))
    assert body.failure is not None
    assert "45 bytes came in 5 s" in body.failure.detail
    assert len(sender.pauses) == 25


def test_a_fast_beginning_buys_no_slow_end() -> None:
    sender = Sender(*[0.0] * 1_000, *[1.0] * 30, size=9)
    body = read_all(sender, Pace(rate=10, stall_seconds=5, most_seconds=100))
    assert body.failure is not None
    assert len(sender.pauses) <= 25


def test_no_body_takes_longer_than_it_may() -> None:
    sender = Sender(*[1.0] * 300, size=1_000)
    body = read_all(sender, Pace(rate=10, stall_seconds=5, most_seconds=100))
    assert body.failure is not None
    assert "longer than 100 s" in body.failure.detail
    assert len(sender.pauses) == 200


def test_after_the_body_nothing_is_hurried() -> None:
    """An event stream waits for the end of its connection by the same `receive`."""

    async def run() -> None:
        calls = 0

        async def receive() -> dict[str, Any]:
            nonlocal calls
            calls += 1
            if calls == 2:
                await anyio.sleep(0.2)
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": b"", "more_body": False}

        body = PacedBody(receive, Pace(rate=1e9, stall_seconds=0.01, most_seconds=0.01))
        assert (await body())["type"] == "http.request"
        assert (await body())["type"] == "http.disconnect"
        assert body.failure is None

    anyio.run(run)


# On real connections


@pytest.fixture
def slow_service(settings: Settings, make_service: Callable[[Settings], Any]) -> Any:
    with make_service(settings.model_copy(update={"upload_stall_seconds": 0.3})) as started:
        yield started


def send_slowly(service: Service, head: str, body: bytes) -> str:
    """Send a request whose body stops in the midst of it, and read the answer until the service hangs up."""
    host, port = service.http.base_url.host, service.http.base_url.port
    with socket.create_connection((host, port), timeout=30) as connection:
        connection.sendall(f"{head}\r\nHost: {host}:{port}\r\n\r\n".encode() + body)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received.decode()


def test_a_json_body_that_stops_ends_with_408(slow_service: Service) -> None:
    head = "POST /jobs HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 500"
    answer = send_slowly(slow_service, head, b'{"dataset": ')
    assert answer.startswith("HTTP/1.1 408 ")
    assert '"code": "too_slow"' in answer
    assert "connection: close" in answer.lower()
    assert slow_service.get("/jobs").json()["items"] == []


def test_a_form_that_stops_registers_nothing_and_leaves_no_file(slow_service: Service) -> None:
    form = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="m"\r\n\r\n' + safetensors_file()[:50]
    )
    head = (
        "POST /checkpoints HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 90000"
    )
    assert send_slowly(slow_service, head, form).startswith("HTTP/1.1 408 ")
    assert slow_service.get("/checkpoints").json()["items"] == []
    incoming = slow_service.settings.artifacts_dir / INCOMING
    assert incoming.is_dir()
    eventually(lambda: not [path for path in incoming.rglob("*") if path.is_file()])


def test_a_part_that_stops_keeps_what_arrived(slow_service: Service) -> None:
    content = safetensors_file()
    upload = slow_service.post("/uploads", json={"name": "m", "bytes": len(content)}).json()["id"]
    kind = "Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0"
    head = f"PATCH /uploads/{upload} HTTP/1.1\r\n{kind}\r\nContent-Length: {len(content)}"
    assert send_slowly(slow_service, head, content[:100]).startswith("HTTP/1.1 408 ")
    assert slow_service.get(f"/uploads/{upload}").json()["received"] == 100
    rest = {"Upload-Offset": "100", "Content-Type": "application/offset+octet-stream"}
    slow_service.http.patch(f"/uploads/{upload}", content=content[100:], headers=rest)
    stored = slow_service.post("/checkpoints", files={"upload": (None, upload)})
    assert stored.status_code == 201, stored.text


def test_a_body_that_trickles_above_the_rate_is_taken(slow_service: Service) -> None:
    body = b'{"hidden": "x"}'.ljust(3_000)
    host, port = slow_service.http.base_url.host, slow_service.http.base_url.port
    with socket.create_connection((host, port), timeout=30) as connection:
        head = "POST /jobs HTTP/1.1\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 3000"
        connection.sendall(f"{head}\r\nHost: {host}:{port}\r\n\r\n".encode())
        for start in range(0, 3_000, 500):
            time.sleep(0.1)
            connection.sendall(body[start : start + 500])
        assert connection.recv(65536).startswith(b"HTTP/1.1 422 ")
