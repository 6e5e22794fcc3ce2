"""Clients with an API key: sent with every request, to that service alone, and with patience where it sends too many."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from fake_service import URL, FakeService, Turns
from keyed_service import Keyed, keyed_service

from app.client import AsyncCaliper, AsyncClient, Caliper, Client, ServiceError
from app.registry.database import Database
from app.settings import Settings


def sent_by(**options: str | None) -> str | None:
    service = FakeService({"GET /tiers": []})
    with Client(URL, transport=httpx.MockTransport(service), **options) as client:  # type: ignore[arg-type]
        client.tiers()
    return service.asked[0].headers.get("authorization")


def test_the_key_is_the_argument_else_the_environment_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CALIPER_API_KEY", raising=False)
    assert sent_by() is None
    assert sent_by(api_key="caliper_a") == "Bearer caliper_a"
    monkeypatch.setenv("CALIPER_API_KEY", " caliper_b\n")
    assert sent_by() == "Bearer caliper_b"
    assert sent_by(api_key="caliper_a") == "Bearer caliper_a"
    assert sent_by(api_key="") is None
    assert sent_by(headers={"authorization": "Basic x"}) == "Basic x"  # type: ignore[arg-type]


def test_a_request_that_came_too_soon_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("app.client.blocking.time.sleep", pauses.append)
    refused = httpx.Response(
        429, headers={"Retry-After": "3"}, json={"code": "too_many_requests", "detail": "x"}
    )
    service = FakeService({"POST /jobs/j/cancel": Turns(refused, {"id": "j"}), "GET /tiers": refused})
    with Client(URL, transport=httpx.MockTransport(service), retries=2) as client:
        assert client.cancel("j") == {"id": "j"}
        assert pauses == [3.0]
        with pytest.raises(ServiceError) as caught:
            client.tiers()
    assert (caught.value.code, len(pauses)) == ("too_many_requests", 3)


@pytest.fixture
def keyed(settings: Settings, registry: Database) -> Iterator[Keyed]:
    with keyed_service(settings) as started:
        yield started


def test_a_service_with_keys_is_asked_by_all_four_clients(keyed: Keyed) -> None:
    url, key = keyed.service.url, keyed.keys["admin"]
    with Client(url, api_key="") as nobody, pytest.raises(ServiceError) as caught:
        list(nobody.jobs())
    assert (caught.value.status, caught.value.code) == (401, "unauthenticated")
    with Client(url, api_key=key) as client:
        made = client.create_key("b", "reader", days=1)
        assert {row["id"] for row in client.api_keys()} == {*keyed.ids.values(), made["id"]}
        assert client.own_key()["role"] == "admin"
    with Caliper(url, api_key=made["key"]) as typed:
        assert (typed.own_key().name, typed.own_key().is_valid) == ("b", True)
        assert list(typed.jobs()) == []
        with pytest.raises(ServiceError, match="needs a"):
            typed.cancel("x")

    async def awaited() -> tuple[str, list[str], list[str]]:
        async with AsyncClient(url, api_key=key) as client:
            await client.revoke_key(made["id"])
        async with AsyncCaliper(url, api_key=key) as caliper:
            audit = [row.action async for row in caliper.audit(target=made["id"])]
            names = [row.name async for row in caliper.api_keys()]
            return (await caliper.own_key()).name, audit, names

    name, audit, names = asyncio.run(awaited())
    assert name == "admin"
    assert audit == ["Revoke an API key"]
    assert names[0] == "b"
    with Client(url, api_key=made["key"]) as client, pytest.raises(ServiceError, match="revoked"):
        client.own_key()


def test_an_event_stream_is_followed_with_the_key(keyed: Keyed) -> None:
    with (
        Client(keyed.service.url, api_key=keyed.keys["reader"]) as client,
        pytest.raises(ServiceError) as caught,
    ):
        next(client.events("job_x"))
    assert caught.value.status == 404  # let in, and no such job
    with Client(keyed.service.url, api_key="") as client, pytest.raises(ServiceError) as caught:
        next(client.events("job_x"))
    assert caught.value.status == 401
