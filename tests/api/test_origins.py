"""Under which names the service answers, and which pages may ask it."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest
from keyed_service import Keyed, keyed_service
from running_service import Service, is_problem

from app.api.exposure import is_local, refuse_exposure
from app.api.origins import check_host, check_origin
from app.errors import Conflict, CrossOrigin, UnknownHost
from app.main import create_app, install_operations
from app.registry.database import Database
from app.settings import Settings


@pytest.mark.parametrize("host", ["localhost", "localhost:8400", "127.0.0.1:9", "[::1]:8400", "LOCALHOST"])
def test_loopback_s_names_are_always_known(host: str) -> None:
    check_host(host, frozenset(), is_local=True)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8400", "127.0.0.1.evil.example", "192.0.2.1", "", "a b", "x@localhost"],
)
def test_on_loopback_nothing_else_is(host: str) -> None:
    with pytest.raises(UnknownHost):
        check_host(host, frozenset(), is_local=True)


def test_elsewhere_addresses_and_named_hosts_are_known_too() -> None:
    names = frozenset({"caliper.example"})
    for host in ("192.0.2.1:80", "[2001:db8::1]", "caliper.example", "Caliper.Example:443"):
        check_host(host, names, is_local=False)
    with pytest.raises(UnknownHost):
        check_host("other.example", names, is_local=False)


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        (None, None),  # a program
        ("http://localhost:8400", "same-origin"),
        ("http://localhost:8400", None),
        (None, "none"),
    ],
)
def test_programs_and_own_pages_may_change_things(origin: str | None, site: str | None) -> None:
    check_origin("POST", "localhost:8400", origin, site, None)


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("https://evil.example", "cross-site"),
        ("https://evil.example", None),
        ("http://localhost:3000", "same-site"),  # another program of this machine
        ("http://localhost:3000", None),
        ("null", None),
        (None, "cross-site"),
        (None, "same-site"),
        ("", None),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "PUT"])
def test_pages_of_other_sites_may_not(method: str, origin: str | None, site: str | None) -> None:
    with pytest.raises(CrossOrigin):
        check_origin(method, "localhost:8400", origin, site, "cors")


def test_other_sites_may_link_here_and_not_embed() -> None:
    check_origin("GET", "localhost:8400", None, "cross-site", "navigate")
    with pytest.raises(CrossOrigin):
        check_origin("GET", "localhost:8400", None, "cross-site", "no-cors")


def test_a_rebound_name_is_refused(service: Service) -> None:
    """A page of evil.example whose name suddenly leads to 127.0.0.1 is of the same origin for its browser."""
    rebound = {"Host": "evil.example", "Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}
    for method, path in (("GET", "/jobs"), ("POST", "/jobs"), ("GET", "/ui"), ("GET", "/openapi.json")):
        is_problem(service.http.request(method, path, headers=rebound), 421, "unknown_host")
    assert service.get("/healthz", headers=rebound).status_code == 200


def test_a_forged_request_is_refused(service: Service) -> None:
    forged = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    for path in ("/jobs", "/uploads", "/keys", "/checkpoints", "/ui/jobs/new"):
        answer = service.post(path, headers={**forged, "Content-Type": "text/plain"}, content="{}")
        assert answer.status_code == 403, path
    assert service.post("/keys", json={"name": "n", "role": "reader"}).status_code == 201


def test_no_answer_lets_other_sites_read_it(service: Service) -> None:
    for method in ("GET", "OPTIONS"):
        answer = service.http.request(method, "/jobs", headers={"Origin": "https://evil.example"})
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_without_keys_a_request_that_arrives_elsewhere_is_refused(service: Service) -> None:
    """Where somebody has uvicorn listen on all addresses by hand: the address at which a request arrived counts."""

    async def ask(server: str, path: str) -> httpx.Response:
        app = install_operations()
        app.state.parts = service.parts
        headers = {"Host": "localhost"}
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=f"http://{server}"
        ) as client:
            return await client.get(path, headers=headers)

    for server in ("192.0.2.1:8400", "[2001:db8::1]:8400"):
        problem = is_problem(anyio.run(ask, server, "/tiers"), 403, "keys_required")
        assert "caliper keys create" in problem["hint"]
    assert anyio.run(ask, "127.0.0.1:8400", "/tiers").status_code == 200


def test_what_is_reached_from_this_machine_alone() -> None:
    assert is_local(("127.0.0.1", 8400))
    assert is_local(("/run/caliper.sock", None))
    assert is_local(None)
    for server in (("192.0.2.1", 8400), ("10.0.0.5", 80), ("::", 8400), ("2001:db8::1", 1)):
        assert not is_local(server)


@pytest.fixture
def keyed(settings: Settings, registry: Database) -> Iterator[Keyed]:
    with keyed_service(settings, allowed_hosts="caliper.example") as started:
        yield started


def test_with_keys_a_named_host_is_answered(keyed: Keyed) -> None:
    assert keyed.ask("reader", "GET", "/tiers", headers={"Host": "caliper.example"}).status_code == 200
    answer = keyed.ask("reader", "GET", "/tiers", headers={"Host": "other.example"})
    is_problem(answer, 421, "unknown_host")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "caliper.example"])
def test_the_service_does_not_start_to_listen_elsewhere_without_keys(settings: Settings, host: str) -> None:
    exposed = settings.model_copy(update={"host": host})
    with pytest.raises(Conflict) as caught:
        create_app(exposed)
    assert "caliper keys create" in caught.value.hint
    assert "CALIPER_REQUIRE_KEYS=true" in caught.value.hint
    refuse_exposure(exposed.model_copy(update={"require_keys": True}))
    refuse_exposure(settings)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("CALIPER_HOST", "0.0.0.0", "caliper keys create"),
        ("CALIPER_SWEEP_SECONDS", "soon", "CALIPER_SWEEP_SECONDS: Input should be a valid number"),
    ],
)
def test_a_server_with_wrong_settings_ends_in_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv("CALIPER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as caught:
        create_app()
    assert said in str(caught.value.code)
    assert variable in str(caught.value.code) or value in str(caught.value.code)
    assert not list(tmp_path.iterdir())


def test_the_default_on_loopback_asks_for_no_key(service: Service) -> None:
    assert not service.settings.require_keys
    assert service.get("/tiers").status_code == 200
