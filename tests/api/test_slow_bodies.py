"""Bodies that drip: given up with 408 over a real connection, nothing left but what an upload in parts had."""

import json
import select
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_service import Service, eventually

from tests.api.abused_service import abused_service, arriving, state_of, unharmed
from tests.api.raw_http import Answer, Wire, head

MULTIPART = "Content-Type: multipart/form-data; boundary=B"
FILE_HEAD = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.pt"\r\n\r\n'
LENGTH = "Content-Length: 100000"
SLOW = {
    "JSON": head("POST", "/jobs", "Content-Type: application/json", LENGTH),
    "JSON in chunks": head("POST", "/jobs", "Content-Type: application/json", "Transfer-Encoding: chunked")
    + b"fffff\r\n",
    "a part's header": head("POST", "/checkpoints", MULTIPART, LENGTH) + FILE_HEAD[:-4],
    "a form's file": head("POST", "/checkpoints", MULTIPART, LENGTH) + FILE_HEAD,
    "a file to inspect": head("POST", "/checkpoints/inspect", MULTIPART, LENGTH) + FILE_HEAD,
    "bars": head("POST", "/datasets", MULTIPART, LENGTH) + FILE_HEAD,
}


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Service]:
    limits = {"upload_min_rate": 100_000, "upload_stall_seconds": 0.2}
    with abused_service(tmp_path_factory.mktemp("slow"), sqlite_template, **limits) as service:
        yield service


def drip(wire: Wire, start: bytes) -> Answer | None:
    """Send byte after byte until the service has had enough."""
    wire.send(start)
    while not select.select([wire.socket], [], [], 0.02)[0] and wire.send(b"a"):
        pass
    return wire.answer()


def is_given_up(answer: Answer | None) -> None:
    assert answer is not None
    problem = json.loads(answer.body)
    assert (answer.status, problem["code"]) == (408, "too_slow")
    assert "fewer than" in problem["detail"]


@pytest.mark.parametrize("name", SLOW)
def test_a_body_that_drips_is_given_up(
    hasty: Service, name: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with unharmed(hasty, caplog, capsys), Wire(hasty.url) as wire:
        is_given_up(drip(wire, SLOW[name]))


def test_a_body_that_does_not_come_at_all_is_given_up(
    hasty: Service, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with unharmed(hasty, caplog, capsys), Wire(hasty.url) as wire:
        wire.send(SLOW["JSON"])
        is_given_up(wire.answer())


def test_what_dripped_into_an_upload_in_parts_is_kept(hasty: Service) -> None:
    upload = hasty.post("/uploads", json={"name": "slow", "bytes": 100_000}).json()["id"]
    with Wire(hasty.url) as wire:
        is_given_up(drip(wire, head("PATCH", f"/uploads/{upload}", "Upload-Offset: 0", LENGTH)))
    eventually(lambda: hasty.get(f"/uploads/{upload}").json()["received"] > 0)
    assert hasty.http.delete(f"/uploads/{upload}").status_code == 204


def test_others_are_answered_while_many_drip(hasty: Service) -> None:
    before = state_of(hasty)
    wires = [Wire(hasty.url) for _ in range(50)]
    for wire in wires:
        wire.send(SLOW["a form's file"])
    assert hasty.get("/healthz").status_code == 200
    assert hasty.get("/jobs").status_code == 200
    for wire in wires:
        is_given_up(wire.answer())
        wire.socket.close()
    eventually(lambda: not arriving(hasty))
    assert state_of(hasty) == before
