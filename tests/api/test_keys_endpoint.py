"""Keys on, over real HTTP: who is let in, what each role may do, whose things are whose."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from factories import small_spec, upload_googl
from fastapi.routing import APIRoute
from keyed_service import Keyed, keyed_service
from pydantic import TypeAdapter
from running_service import Service, is_problem, safetensors_file
from sqlalchemy import text, update

from app.access import Role, hash_key
from app.api.operation import Operation
from app.api.roles import ADMINISTRATION, OPEN_PATHS, READING, SAFE_METHODS, TRAINING, is_open, role_for
from app.jobs.spec import JobSpec
from app.main import install_operations
from app.registry.database import Database
from app.registry.tables import ApiKey, utc_now
from app.settings import Settings

SPEC = TypeAdapter(JobSpec).dump_python(small_spec(), mode="json", exclude_none=True)
FILE = {"file": ("m.safetensors", safetensors_file())}
ADMINISTRATIVE = {("POST", "/keys"), ("DELETE", "/keys/{key_id}"), ("POST", "/calibrations")}


@pytest.fixture
def keyed(settings: Settings, registry: Database) -> Iterator[Keyed]:
    with keyed_service(settings) as started:
        yield started


# Letting in


def test_without_a_valid_key_nothing_is_answered_but_what_is_open(keyed: Keyed) -> None:
    for path in (
        "/estimate?obs_dim=5&hidden=8",
        "/jobs",
        "/metrics",
        "/nowhere",
        "/keys",
        "/audit",
        "/workers",
    ):
        answer = keyed.service.get(path)
        is_problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == 'Bearer realm="caliper"'
    for path in ("/healthz", "/docs", "/openapi.json", "/static/docs.js", "/ui/sign-in"):
        assert keyed.service.get(path).status_code == 200, path
    wrong = keyed.keys["reader"][:-1] + ("a" if keyed.keys["reader"][-1] != "a" else "b")
    for value in (f"Bearer {wrong}", "Bearer x", "Bearer", "Basic eDp5", keyed.keys["reader"]):
        answer = keyed.service.get("/jobs", headers={"Authorization": value})
        is_problem(answer, 401, "unauthenticated")
    assert keyed.ask("reader", "GET", "/jobs").status_code == 200


def test_a_path_that_only_looks_open_is_not(keyed: Keyed) -> None:
    for path in (
        "/healthz/",
        "//healthz",
        "/static/../jobs",
        "/ui/../jobs",
        "/docs/",
        "/uix",
        "/openapi.json/x",
    ):
        answer = keyed.service.http.request("GET", path, extensions={"target": path.encode()})
        assert answer.status_code in {401, 404}, (path, answer.text)
        assert "items" not in answer.text


def test_probes_learn_whether_and_not_who(keyed: Keyed) -> None:
    hidden = is_problem(keyed.service.get("/readyz"), 503, "unavailable")
    assert hidden["workers"] == []
    assert hidden["parts"]["redis"] == "not ok; an API key shows why"
    shown = is_problem(keyed.ask("reader", "GET", "/readyz"), 503, "unavailable")
    assert "not ok" not in shown["parts"]["redis"]


def test_the_openapi_document_says_where_keys_are_needed(keyed: Keyed) -> None:
    """Made once for each app, whose document other tests may have asked for before."""
    app = install_operations()
    app.state.parts = keyed.service.parts
    document = app.openapi()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert document["security"] == [{"key": []}]
    assert document["paths"]["/healthz"]["get"]["security"] == []
    assert "security" not in document["paths"]["/jobs"]["get"]


def test_the_cookie_suffices_to_look_and_never_to_change(keyed: Keyed) -> None:
    cookie = {"Cookie": f"a=b; caliper_key={keyed.keys['admin']}; c=d"}
    assert keyed.service.get("/jobs", headers=cookie).status_code == 200
    is_problem(keyed.service.post("/keys", headers=cookie, json={}), 401, "unauthenticated")


# Roles


def test_every_operation_has_its_role() -> None:
    """What changes something is in exactly one list; a new operation that is in none is for admins."""
    app, found = install_operations(), set()
    for path, methods in app.openapi()["paths"].items():
        found |= {(method.upper(), path) for method in methods}
    changing = {operation for operation in found if operation[0] not in SAFE_METHODS}
    assert found >= READING | TRAINING | ADMINISTRATION
    administrative = changing - READING - TRAINING
    assert administrative >= ADMINISTRATIVE
    for method, path in found:
        needed = role_for(method, path)
        if (method, path) in administrative | ADMINISTRATION:
            assert needed is Role.ADMIN
        elif (method, path) in TRAINING:
            assert needed is Role.TRAINER
        else:
            assert needed is Role.READER
    assert {path for path in OPEN_PATHS if path.endswith("z")} == {"/healthz", "/readyz"}


def test_every_route_that_is_not_open_is_an_operation() -> None:
    """Only operations hold the caller to a role."""

    def routes(owner: Any) -> Iterator[Any]:
        for route in owner.routes:
            inner = getattr(route, "original_router", None)
            yield from routes(inner) if inner is not None else (route,)

    for route in routes(install_operations()):
        path = getattr(route, "path", "")
        if isinstance(route, APIRoute) and not isinstance(route, Operation):
            assert is_open(path), path
        elif not isinstance(route, Operation):
            assert is_open(f"{path}/x") or is_open(path), path


def test_each_role_is_held_to_what_it_may(keyed: Keyed) -> None:
    forbidden = "forbidden"
    for role in ("reader", "trainer"):
        for method, path in (("GET", "/keys"), ("GET", "/audit"), ("DELETE", "/keys/x")):
            problem = is_problem(keyed.ask(role, method, path), 403, forbidden)
        assert f"a {role}'s" in problem["detail"]
        is_problem(keyed.ask(role, "POST", "/keys", json={"name": "x", "role": "admin"}), 403, forbidden)
    for method, path in (
        *(("POST", "/jobs"), ("POST", "/jobs/x/cancel"), ("POST", "/jobs/x/resume"), ("POST", "/uploads")),
        *(("PATCH", "/checkpoints/x"), ("DELETE", "/checkpoints/x"), ("DELETE", "/datasets/x")),
    ):
        is_problem(keyed.ask("reader", method, path), 403, forbidden)
    is_problem(keyed.ask("reader", "POST", "/checkpoints", files=FILE), 403, forbidden)
    assert keyed.ask("reader", "POST", "/checkpoints/inspect", files=FILE).status_code == 200
    assert keyed.ask("admin", "GET", "/keys").status_code == 200


def test_a_trainer_changes_its_own_things_and_no_others(keyed: Keyed) -> None:
    keyed.add("other")
    parts = keyed.service.parts
    upload_googl(parts.database, parts.storage, parts.settings)
    job = keyed.ask("trainer", "POST", "/jobs", json=SPEC).json()["id"]
    stored = keyed.ask("trainer", "POST", "/checkpoints", files=FILE, data={"name": "m"}).json()["id"]
    upload = keyed.ask("trainer", "POST", "/uploads", json={"name": "u", "bytes": 10}).json()["id"]
    part = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    attempts: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", f"/jobs/{job}/cancel", {}),
        ("PATCH", f"/uploads/{upload}", {"headers": part, "content": b"x"}),
        ("POST", "/checkpoints", {"files": {"upload": (None, upload)}}),
        ("DELETE", f"/uploads/{upload}", {}),
        ("PATCH", f"/checkpoints/{stored}", {"json": {"aliases": ["live"]}}),
        ("DELETE", f"/checkpoints/{stored}", {}),
        ("DELETE", "/datasets/googl", {}),
    ]
    for method, path, options in attempts:
        is_problem(keyed.ask("other", method, path, **options), 403, "forbidden")
    for method, path, options in attempts[:2] + attempts[3:6]:
        assert keyed.ask("trainer", method, path, **options).is_success, path
    is_problem(
        keyed.ask("trainer", "DELETE", "/datasets/googl"), 403, "forbidden"
    )  # made while keys were off
    assert keyed.ask("admin", "DELETE", "/datasets/googl").status_code == 204


def test_nobody_takes_another_s_alias_or_upload_or_twin(keyed: Keyed) -> None:
    keyed.add("other")
    mine = keyed.ask("trainer", "POST", "/checkpoints", files=FILE, data={"name": "m"}).json()["id"]
    keyed.ask("trainer", "PATCH", f"/checkpoints/{mine}", json={"aliases": ["live"]})
    theirs = keyed.ask("other", "POST", "/checkpoints", files=FILE, data={"name": "m", "tags": ["t"]}).json()
    assert theirs["id"] != mine
    assert keyed.ask("reader", "GET", f"/checkpoints/{mine}").json()["tags"] == []
    answer = keyed.ask("other", "PATCH", f"/checkpoints/{theirs['id']}", json={"aliases": ["live"]})
    is_problem(answer, 403, "forbidden")
    wish = {"name": "u", "bytes": 10, "sha256": "a" * 64}
    first, second = (
        keyed.ask(key, "POST", "/uploads", json=wish).json()["id"] for key in ("trainer", "other")
    )
    assert first != second
    assert keyed.ask("trainer", "POST", "/uploads", json=wish).json()["id"] == first


def test_an_idempotency_key_is_one_key_s_own(keyed: Keyed) -> None:
    keyed.add("other")
    parts = keyed.service.parts
    upload_googl(parts.database, parts.storage, parts.settings)
    sent = [
        keyed.ask(key, "POST", "/jobs", json=SPEC, headers={"Idempotency-Key": "k"})
        for key in ("trainer", "trainer", "other")
    ]
    ids = [answer.json()["id"] for answer in sent]
    assert ids[0] == ids[1] != ids[2]


# Keys


def test_a_key_is_shown_once_and_kept_as_a_hash(keyed: Keyed) -> None:
    wish = {"name": "anna", "role": "trainer", "days": 1, "max_open_jobs": 3}
    made = keyed.ask("admin", "POST", "/keys", json=wish)
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    key = made.json()["key"]
    listed = keyed.ask("admin", "GET", "/keys")
    assert key not in listed.text
    row = next(row for row in listed.json()["items"] if row["id"] == made.json()["id"])
    assert (row["prefix"], row["max_open_jobs"], row["created_by"]) == (key[:18], 3, keyed.ids["admin"])
    assert row["is_valid"]
    keyed.keys["anna"] = key
    own = keyed.ask("anna", "GET", "/keys/self").json()
    assert (own["name"], own["open_jobs"], own["upload_bytes"], own["gpu_hours"]) == ("anna", 0, 0, 0.0)
    with keyed.service.parts.database.read() as session:
        stored = [str(value) for value in session.execute(text("SELECT * FROM api_keys")).all()]
    assert hash_key(key) in "".join(stored)
    assert key not in "".join(stored)


def test_a_revoked_or_expired_key_ends(keyed: Keyed) -> None:
    """At once in the process that revoked it."""
    for name in ("one", "two"):
        keyed.add(name)
        assert keyed.ask(name, "GET", "/jobs").status_code == 200
    assert keyed.ask("admin", "DELETE", f"/keys/{keyed.ids['one']}").status_code == 204
    is_problem(keyed.ask("one", "GET", "/jobs"), 401, "unauthenticated")
    assert keyed.ask("admin", "DELETE", f"/keys/{keyed.ids['one']}").status_code == 204
    is_problem(keyed.ask("admin", "DELETE", "/keys/key_nobody"), 404, "not_found")
    with keyed.service.parts.database.write() as session:
        ended = update(ApiKey).where(ApiKey.id == keyed.ids["two"])
        session.execute(ended.values(expires_at=utc_now() - timedelta(seconds=1)))
    keyed.service.parts.gate.callers.forget()
    is_problem(keyed.ask("two", "GET", "/jobs"), 401, "unauthenticated")


def test_a_key_that_another_process_revoked_works_at_most_for_the_named_time(
    settings: Settings, registry: Database
) -> None:
    with keyed_service(settings, key_cache_seconds=1_000) as keyed:
        callers = keyed.service.parts.gate.callers
        now = [0.0]
        callers._clock = lambda: now[0]
        assert keyed.ask("reader", "GET", "/tiers").status_code == 200
        with keyed.service.parts.database.write() as session:
            session.execute(update(ApiKey).values(revoked_at=utc_now()))
        now[0] = 999.0
        assert keyed.ask("reader", "GET", "/tiers").status_code == 200
        now[0] = 1_000.0
        is_problem(keyed.ask("reader", "GET", "/tiers"), 401, "unauthenticated")


def test_the_last_use_is_stamped_now_and_then(keyed: Keyed) -> None:
    def stamp() -> Any:
        with keyed.service.parts.database.read() as session:
            return session.get_one(ApiKey, keyed.ids["reader"]).last_used_at

    assert stamp() is None
    keyed.ask("reader", "GET", "/tiers")
    first = stamp()
    assert first is not None
    keyed.service.parts.gate.callers.forget()
    keyed.ask("reader", "GET", "/tiers")
    assert stamp() == first


def test_keys_can_be_made_before_they_are_turned_on(service: Service) -> None:
    assert service.post("/keys", json={"name": "first", "role": "admin"}).status_code == 201
    is_problem(service.get("/keys/self"), 404, "not_found")


@pytest.mark.parametrize(
    "wrong", [{"role": "root"}, {"days": 0}, {"max_open_jobs": -1}, {"name": ""}, {"x": 1}]
)
def test_what_a_key_cannot_be_is_refused(service: Service, wrong: dict[str, Any]) -> None:
    is_problem(service.post("/keys", json={"name": "n", "role": "reader", **wrong}), 422, "invalid_input")


# Rates


def test_a_key_is_held_to_its_rate(settings: Settings, registry: Database) -> None:
    with keyed_service(settings, requests_per_second=1, requests_burst=5) as keyed:
        keyed.add("other")
        answers = [keyed.ask("reader", "GET", "/tiers") for _ in range(8)]
        assert [answer.status_code for answer in answers[:5]] == [200] * 5
        refused = is_problem(answers[-1], 429, "too_many_requests")
        assert int(answers[-1].headers["retry-after"]) == refused["retry_after"] >= 1
        assert keyed.ask("other", "GET", "/tiers").status_code == 200


def test_wrong_keys_are_held_to_a_rate_and_right_ones_go_on(settings: Settings, registry: Database) -> None:
    with keyed_service(settings, failed_keys_per_minute=4) as keyed:
        assert keyed.ask("reader", "GET", "/tiers").status_code == 200
        keyed.keys["wrong"] = keyed.keys["reader"][:-3] + "xxx"
        statuses = [keyed.ask("wrong", "GET", "/tiers").status_code for _ in range(6)]
        assert statuses[:4] == [401] * 4
        assert statuses[-1] == 429
        assert keyed.ask("reader", "GET", "/tiers").status_code == 200  # known already
