"""Abuse over real sockets: refused with a problem, nothing left behind, nothing in the log, the service unharmed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from factories import GOOGL
from running_service import Service

from tests.api.abused_service import abused_service, unharmed
from tests.api.abuses import ABUSES, HARMLESS, MORE
from tests.api.raw_http import Answer, Wire, head, json_request


@pytest.fixture(scope="module")
def abused(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Service]:
    with abused_service(tmp_path_factory.mktemp("abused"), sqlite_template) as service:
        files = {"file": ("bars.csv", GOOGL.read_bytes())}
        form = {"name": "x", "calendar": "XNYS", "adjusted": "split", "volume_unit": "shares"}
        assert service.post("/datasets", files=files, data=form).status_code == 201
        yield service


def ask(service: Service, sent: bytes) -> Answer | None:
    with Wire(service.url) as wire:
        wire.send(sent)
        return wire.answer(sent.split(b" ", 1)[0].decode("latin-1"))


def is_refusal(answer: Answer | None) -> bool:
    if answer is None:
        return True
    problem = json.loads(answer.body)
    assert 400 <= answer.status < 500, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert (problem["status"], bool(problem["code"]), bool(problem["detail"])) == (answer.status, True, True)
    return True


@pytest.mark.parametrize("name", ABUSES)
def test_abuse_is_refused_and_leaves_nothing(
    abused: Service, name: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with unharmed(abused, caplog, capsys):
        assert is_refusal(ask(abused, ABUSES[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_every_other_operation_refuses_it_too(
    abused: Service, name: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with unharmed(abused, caplog, capsys):
        assert is_refusal(ask(abused, MORE[name]))


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_only_odd_is_answered(
    abused: Service, name: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    sent, status = HARMLESS[name]
    with unharmed(abused, caplog, capsys):
        answer = ask(abused, sent)
        assert answer is not None
        assert answer.status == status


def test_pipelined_requests_are_answered_in_order(abused: Service) -> None:
    paths = ["/healthz", "/jobs/x", "/estimate", "/nowhere"] * 25
    with Wire(abused.url) as wire:
        assert wire.send(b"".join(head("GET", path) for path in paths))
        answers = [wire.answer() for _ in paths]
    assert [answer and answer.status for answer in answers] == [200, 404, 422, 404] * 25


def test_a_wrong_one_among_pipelined_requests_ends_the_connection(abused: Service) -> None:
    sent = head("GET", "/healthz") + b"hello\r\n\r\n" + head("DELETE", "/datasets/x")
    with Wire(abused.url) as wire:
        wire.send(sent)
        first, second = wire.answer(), wire.answer()
        assert first is None or first.status in {200, 400}
        assert second is None or second.status == 400
    assert abused.get("/datasets/x").status_code == 200


def test_a_client_that_asks_first_is_told_to_go_on_only_where_its_body_may_come(abused: Service) -> None:
    with Wire(abused.url) as wire:
        wire.send(head("POST", "/jobs", "Expect: 100-continue", "Content-Length: 2000000"))
        assert wire.socket.recv(12) == b"HTTP/1.1 413"
    with Wire(abused.url) as wire:
        headers = ("Expect: 100-continue", "Content-Length: 2", "Content-Type: application/json")
        wire.send(head("POST", "/jobs", *headers))
        assert wire.socket.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.send(b"{}")
        answer = wire.answer()
        assert answer is not None
        assert answer.status == 422


def test_a_smuggled_request_is_never_answered_as_one_of_its_own(abused: Service) -> None:
    """Two lengths, two readings: whoever stands before the service may see another request than it does."""
    inner = head("DELETE", "/datasets/x")
    for framing in (
        ("Content-Length: 0", f"Content-Length: {len(inner)}"),
        ("Content-Length: 0", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 4"),
        ("Transfer-Encoding : chunked", "Content-Length: 0"),
    ):
        with Wire(abused.url) as wire:
            wire.send(head("POST", "/jobs/preview", *framing) + b"0\r\n\r\n" + inner)
            assert is_refusal(wire.answer())
            assert wire.is_closed()
    assert abused.get("/datasets/x").status_code == 200


def test_a_header_cannot_be_put_into_an_answer(abused: Service) -> None:
    """Names that come back in Location and Content-Disposition are the service's own."""
    body = json.dumps({"name": "a\r\nX-Injected: yes", "bytes": 1}).encode()
    answer = ask(abused, json_request("POST", "/uploads", body))
    assert answer is not None
    assert answer.status == 422
    assert "x-injected" not in answer.headers
