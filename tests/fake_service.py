"""A service that answers what a test tells it to: httpx.MockTransport with a record of what was asked."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx

from app.client import Client

URL = "http://caliper.test"


class FakeService:
    """Answers by method and path; an answer is JSON, a Response, an exception, or a function of the request.

    A list of answers is given one after the other, the last one for ever.
    """

    def __init__(self, answers: dict[str, Any] | None = None) -> None:
        self.answers = dict(answers or {})
        self.asked: list[httpx.Request] = []
        self._turns: dict[str, int] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        key = f"{request.method} {request.url.path}"
        if key not in self.answers:
            return problem(404, "not_found", f"no answer for {key}")
        answer = self.answers[key]
        if isinstance(answer, Turns):
            turn = self._turns.get(key, 0)
            self._turns[key] = turn + 1
            answer = answer.of(turn)
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer(request)
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    def client(self, **options: Any) -> Client:
        return Client(URL, transport=httpx.MockTransport(self), **options)

    def paths(self) -> list[str]:
        return [f"{request.method} {request.url.path}" for request in self.asked]


class Piece(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Bytes that either client may stream."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self._content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


class Turns:
    """Answers to be given one after the other."""

    def __init__(self, *answers: Any) -> None:
        self._answers = answers

    def of(self, turn: int) -> Any:
        return self._answers[min(turn, len(self._answers) - 1)]


def problem(status: int, code: str, detail: str, **members: Any) -> httpx.Response:
    body = {
        "type": f"urn:caliper:error:{code}",
        "title": "t",
        "status": status,
        "code": code,
        "detail": detail,
    }
    content = json.dumps({**body, **members})
    return httpx.Response(status, content=content, headers={"content-type": "application/problem+json"})


def stream(*events: tuple[int, str, dict[str, Any]], broken: bool = False) -> httpx.Response:
    """An event stream; a broken one ends in the midst of an event."""
    body = "retry: 0\n\n: still here\n\n"
    body += "".join(
        f"event: {kind}\nid: {number}\ndata: {json.dumps(data)}\n\n" for number, kind, data in events
    )
    chunks = _then_break(body.encode()) if broken else body.encode()
    return httpx.Response(200, content=chunks, headers={"content-type": "text/event-stream"})


def _then_break(body: bytes) -> Iterator[bytes]:
    yield body + b"event: progress\nid: 99\ndata: {"
    raise httpx.ReadError("connection reset")


def job(state: str = "succeeded", last_event: int = 0, **values: Any) -> dict[str, Any]:
    """A job as GET /jobs/{id} answers."""
    return {
        "id": "job_1",
        "name": "demo",
        "state": state,
        "last_event": last_event,
        "dataset_id": "dataset_1",
        "dataset_ids": ["dataset_1"],
        "obs_dim": 5300,
        "hidden_dims": [256, 128, 64],
        "tier": "cpu",
        "predicted_bytes": 1000,
        "attempt": 1,
        "progress": {},
        "result": None,
        "error": None,
        "created_at": "2026-11-23T12:00:00Z",
        "started_at": None,
        "ended_at": None,
        "spec": {"total_timesteps": 100},
        "config": {"ppo": {"seed": 1, "hidden_dims": [256, 128, 64]}},
        "reasons": {"hidden_dims": "the default of the cpu tier", "tier": "asked for"},
        "estimate": {"parameters": 1_406_788},
        "attempts": [],
        "checkpoints": [],
        **values,
    }


def serve_range(content: bytes) -> Callable[[httpx.Request], httpx.Response]:
    """A file that honours Range, as GET /checkpoints/{id}/file does."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked = request.headers.get("range")
        if not asked:
            return httpx.Response(200, stream=Piece(content))
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        headers = {"content-range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        return httpx.Response(206, stream=Piece(content[start:]), headers=headers)

    return answer
