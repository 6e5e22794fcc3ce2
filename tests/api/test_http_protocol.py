"""The limits of a connection: bytes, headers, and time, each kept and each told."""

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from factories import make_dataset, make_job
from running_service import Service, running

from app.api.http_protocol import GuardedProtocol, WireLimits
from app.registry.database import Database
from app.registry.events import record_event
from app.registry.jobs import add_job
from app.settings import Settings
from tests.api.raw_http import Answer, Wire, head, json_request


class Hasty(GuardedProtocol):
    limits: ClassVar[WireLimits] = WireLimits(
        header_bytes=400, headers=5, header_seconds=0.3, linger_seconds=0.3
    )


@pytest.fixture
def hasty(settings: Settings, registry: Database) -> Iterator[Service]:
    with running(settings, Hasty) as service:
        yield service


def is_problem_of(answer: Answer | None, status: int, code: str) -> dict[str, Any]:
    assert answer is not None
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.headers["connection"] == "close"
    problem: dict[str, Any] = json.loads(answer.body)
    assert (problem["status"], problem["code"]) == (status, code)
    return problem


@pytest.mark.parametrize(
    ("sent", "status", "code", "words"),
    [
        (head("GET", "/" + "a" * 400), 414, "uri_too_long", "400 bytes"),
        (head("GET", "/", "X: " + "a" * 400), 431, "request_header_fields_too_large", "400 bytes"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 400, 431, "request_header_fields_too_large", "400 bytes"),
        (
            head("GET", "/", *(f"X{n}: 1" for n in range(5))),
            431,
            "request_header_fields_too_large",
            "5 headers",
        ),
        (b"hello\r\n\r\n", 400, "bad_request", "Invalid HTTP"),
    ],
)
def test_what_is_too_much_or_no_http_is_told_and_the_connection_closed(
    hasty: Service, sent: bytes, status: int, code: str, words: str
) -> None:
    with Wire(hasty.url) as wire:
        wire.send(sent)
        assert words in is_problem_of(wire.answer(), status, code)["detail"]
        assert wire.is_closed()


def test_the_limits_begin_anew_with_each_request(hasty: Service) -> None:
    with Wire(hasty.url) as wire:
        for _ in range(10):
            wire.send(head("GET", "/healthz", "X: " + "a" * 200, "Y: 1", "Z: 1"))
            answer = wire.answer()
            assert answer is not None
            assert answer.status == 200


def test_a_long_body_in_many_chunks_is_no_long_head(hasty: Service) -> None:
    body = json.dumps({"name": "n" * 150, "bytes": 10}).encode()
    with Wire(hasty.url) as wire:
        wire.send(head("POST", "/uploads", "Transfer-Encoding: chunked", "Content-Type: application/json"))
        for at in range(len(body)):
            wire.send(b"1\r\n" + body[at : at + 1] + b"\r\n")
        wire.send(b"0\r\n\r\n")
        answer = wire.answer()
        assert answer is not None
        assert answer.status == 201


def test_trailers_are_counted_and_never_seen(hasty: Service) -> None:
    """Whoever checked the headers has not seen them."""
    start = head("POST", "/uploads", "Transfer-Encoding: chunked", "Content-Type: application/json")
    body = b'{"name": "n", "bytes": 10}'
    chunk = b"%x\r\n%s\r\n0\r\n" % (len(body), body)
    with Wire(hasty.url) as wire:
        wire.send(start + chunk + b"Content-Encoding: gzip\r\n\r\n")
        answer = wire.answer()
        assert answer is not None
        assert answer.status == 201
    with Wire(hasty.url) as wire:
        wire.send(start + chunk + b"".join(b"X%d: 1\r\n" % n for n in range(9)) + b"\r\n")
        answer = wire.answer()
        assert answer is None or answer.status in {201, 431}
        assert wire.is_closed()


def test_a_connection_that_says_nothing_is_closed(hasty: Service) -> None:
    with Wire(hasty.url) as wire:
        assert wire.is_closed()


def test_a_head_that_does_not_come_to_its_end_is_told_so(hasty: Service) -> None:
    with Wire(hasty.url) as wire:
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Sl")
        problem = is_problem_of(wire.answer(), 408, "request_timeout")
        assert "0.3 s" in problem["detail"]
        assert wire.is_closed()


def test_the_time_counts_for_each_request_of_a_connection(hasty: Service) -> None:
    with Wire(hasty.url) as wire:
        wire.send(head("GET", "/healthz"))
        assert wire.answer() is not None
        wire.send(b"GET /healthz HTTP/1.1\r\n")
        is_problem_of(wire.answer(), 408, "request_timeout")


def test_a_line_break_after_a_request_does_not_end_its_answer(hasty: Service, registry: Database) -> None:
    """Old clients send one after a body; an event stream may go on for hours."""
    with registry.write() as session:
        dataset = make_dataset()
        session.add(dataset)
        session.flush()
        job_id = add_job(session, make_job(dataset)).id
    with Wire(hasty.url) as silent, Wire(hasty.url) as wire:
        wire.send(head("GET", f"/jobs/{job_id}/events") + b"\r\n")
        assert wire.socket.recv(15) == b"HTTP/1.1 200 OK"
        assert silent.is_closed(), "the time for a head has passed"
        with registry.write() as session:
            record_event(session, job_id, "log", {"message": "still there"})
        heard = b""
        while b"still there" not in heard:
            more = wire.socket.recv(4096)
            assert more
            heard += more


def test_a_refused_body_is_dropped_for_a_while_so_that_the_answer_arrives(hasty: Service) -> None:
    with Wire(hasty.url) as wire:
        wire.send(head("POST", "/jobs", "Content-Type: application/json", f"Content-Length: {50 << 20}"))
        for _ in range(4):
            assert wire.send(b" " * (1 << 20))
        answer = wire.answer()
        assert answer is not None
        assert answer.status == 413
        assert wire.is_closed()


def test_a_connection_whose_refused_body_came_to_its_end_is_used_further(service: Service) -> None:
    size = service.settings.max_body_bytes + 1
    with Wire(service.url) as wire:
        wire.send(json_request("POST", "/jobs", b" " * size), head("GET", "/healthz"))
        first, second = wire.answer(), wire.answer()
        assert first is not None
        assert second is not None
        assert (first.status, second.status) == (413, 200)
