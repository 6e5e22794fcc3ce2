"""AsyncClient: the same requests and errors, awaited."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_service import URL, FakeService, Turns, job, problem, stream

from app.client import AsyncClient, ServiceError, ServiceUnreachable


def ask(service: FakeService, question: Callable[[AsyncClient], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with AsyncClient(URL, transport=httpx.MockTransport(service), patience_seconds=5) as client:
            return await question(client)

    return asyncio.run(run())


def test_it_asks_what_the_blocking_client_asks() -> None:
    service = FakeService({"GET /estimate": {"parameters": 1}})
    assert ask(service, lambda client: client.estimate(12, (8, 4), device="cpu")) == {"parameters": 1}
    assert str(service.asked[0].url.query, "ascii") == "obs_dim=12&hidden=8%2C4&device=cpu"


def test_refusals_are_errors() -> None:
    service = FakeService({"POST /jobs": problem(409, "conflict", "twice")})
    with pytest.raises(ServiceError, match="twice"):
        ask(service, lambda client: client.submit_job({}))


def test_a_refused_connection_is_said() -> None:
    with pytest.raises(ServiceUnreachable, match="no service answers"):
        ask(FakeService({"GET /readyz": httpx.ConnectError("refused")}), lambda client: client.ready())


def test_events_reconnect_from_the_last_one() -> None:
    running, done = (1, "state", {"state": "running"}), (2, "state", {"state": "succeeded"})
    service = FakeService(
        {
            "GET /jobs/job_1/events": Turns(httpx.ConnectError("refused"), stream(running), stream(done)),
            "GET /jobs/job_1": Turns(job("running", last_event=1), job(last_event=2)),
        }
    )

    async def collect(client: AsyncClient) -> list[int]:
        return [event.id async for event in client.events("job_1")]

    assert ask(service, collect) == [1, 2]
    headers = [request.headers.get("last-event-id") for request in service.asked]
    assert [header for header in headers if header is not None] == ["0", "0", "1"]


def test_a_form_is_sent(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    file.write_bytes(b"weights")
    service = FakeService({"POST /checkpoints/inspect": {"name": "a.pt"}})
    assert ask(service, lambda client: client.inspect_checkpoint(file)) == {"name": "a.pt"}
    assert b"weights" in service.asked[0].content
