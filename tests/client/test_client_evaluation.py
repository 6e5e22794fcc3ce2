"""Evaluations and walk-forward runs through both clients."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from fake_service import URL, FakeService

from app.client import AsyncClient, Client


def ask(kind: str, service: FakeService, method: str, *arguments: Any) -> Any:
    transport = httpx.MockTransport(service)
    if kind == "blocking":
        with Client(URL, transport=transport) as client:
            return getattr(client, method)(*arguments)

    async def run() -> Any:
        async with AsyncClient(URL, transport=transport) as client:
            return await getattr(client, method)(*arguments)

    return asyncio.run(run())


@pytest.mark.parametrize("kind", ["blocking", "awaiting"])
def test_a_report_comes_in_three_forms(kind: str) -> None:
    service = FakeService(
        {
            "GET /jobs/a b/evaluation": {"job_id": "a b"},
            "GET /jobs/a b/evaluation.html": httpx.Response(200, text="<p>"),
            "GET /jobs/a b/evaluation.png": httpx.Response(200, content=b"png"),
        }
    )
    assert ask(kind, service, "evaluation", "a b") == {"job_id": "a b"}
    assert ask(kind, service, "evaluation_page", "a b") == "<p>"
    assert ask(kind, service, "evaluation_picture", "a b") == b"png"
    assert ask(kind, service, "evaluation_picture", "a b", "eth") == b"png"
    assert [request.url.params.get("dataset") for request in service.asked[-2:]] == [None, "eth"]


@pytest.mark.parametrize("kind", ["blocking", "awaiting"])
def test_a_walk_forward_run_is_a_job_for_each_fold(kind: str) -> None:
    service = FakeService({"POST /jobs": lambda request: json.loads(request.content)})
    jobs = ask(kind, service, "submit_folds", {"dataset": "d", "walk_forward": "mine"}, 2)
    assert jobs == [{"dataset": "d", "walk_forward": "mine", "folds": 2, "fold": fold} for fold in (1, 2)]
    assert [request.headers["Idempotency-Key"] for request in service.asked] == ["mine/1", "mine/2"]
    assert ask(kind, service, "submit_folds", {}, 1)[0]["walk_forward"].startswith("walk_")
