"""The audit over real HTTP: who changed what, on which id, and who was refused."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from keyed_service import Keyed, keyed_service
from running_service import Service, is_problem, safetensors_file

from app.actions.tidy_registry import tidy_registry
from app.api.auditor import REFUSALS_AT_ONCE
from app.registry.audit import add_entry, drop_entries, list_entries
from app.registry.database import Database, new_id
from app.registry.tables import AuditEntry, utc_now
from app.settings import Settings


@pytest.fixture
def keyed(settings: Settings, registry: Database) -> Iterator[Keyed]:
    with keyed_service(settings) as started:
        yield started


def audit(keyed: Keyed, **query: Any) -> list[dict[str, Any]]:
    """What over HTTP was done, without the keys that the fixture made on the registry itself."""
    items = keyed.ask("admin", "GET", "/audit", params=query).json()["items"]
    return [item for item in items if item["method"] != "TERMINAL"]


def test_a_change_is_written_down_before_its_answer_comes(keyed: Keyed) -> None:
    files = {"file": ("m.safetensors", safetensors_file())}
    stored = keyed.ask("trainer", "POST", "/checkpoints", files=files, headers={"X-Request-ID": "abc-1"})
    made = stored.json()["id"]
    (entry,) = audit(keyed)
    assert {name: entry[name] for name in entry if name not in {"id", "at"}} == {
        "key_id": keyed.ids["trainer"],
        "address": "127.0.0.1",
        "method": "POST",
        "route": "/checkpoints",
        "action": "Store a checkpoint",
        "target": made,
        "status": 201,
        "outcome": "done",
        "request_id": "abc-1",
        "skipped": 0,
    }
    keyed.ask("trainer", "DELETE", f"/checkpoints/{made}")
    entry = audit(keyed)[0]
    assert (entry["route"], entry["target"]) == ("/checkpoints/{checkpoint_id}", made)
    assert [each["outcome"] for each in audit(keyed, target=made)] == ["done", "done"]
    assert audit(keyed, key=keyed.ids["reader"]) == []


def test_looking_and_reading_are_not_written_down(keyed: Keyed) -> None:
    keyed.ask("reader", "GET", "/jobs")
    keyed.ask("reader", "POST", "/checkpoints/inspect", files={"file": ("m", safetensors_file())})
    assert audit(keyed) == []


def test_what_was_refused_and_what_was_not_possible(keyed: Keyed) -> None:
    keyed.service.post("/jobs", json={})
    keyed.ask("reader", "POST", "/jobs/job_1/cancel")
    keyed.ask("trainer", "POST", "/jobs/job_1/cancel")
    keyed.ask("trainer", "POST", "/jobs", json={}, headers={"Origin": "https://evil.example"})
    found = [(each["outcome"], each["status"], each["key_id"], each["route"]) for each in audit(keyed)]
    assert found == [
        ("refused", 403, None, "/jobs"),
        ("rejected", 404, keyed.ids["trainer"], "/jobs/{job_id}/cancel"),
        ("refused", 403, keyed.ids["reader"], "/jobs/{job_id}/cancel"),
        ("refused", 401, None, "/jobs"),
    ]


def test_refusals_without_end_do_not_fill_the_registry(keyed: Keyed) -> None:
    times = REFUSALS_AT_ONCE + 30
    for _ in range(times):
        assert keyed.service.post("/jobs", json={}).status_code == 401
    keyed.ask("trainer", "POST", "/jobs", json={})
    entries = audit(keyed, limit=200)
    written = sum(each["status"] == 401 for each in entries)
    assert REFUSALS_AT_ONCE <= written < times
    assert written + sum(each["skipped"] for each in entries) == times


def test_keys_are_off_and_changes_are_still_written_down(service: Service) -> None:
    service.http.delete("/datasets/nothing")
    (entry,) = service.get("/audit").json()["items"]
    assert (entry["key_id"], entry["target"], entry["outcome"]) == (None, "nothing", "rejected")


def test_the_pages_of_the_audit_follow_one_another(service: Service) -> None:
    for number in range(5):
        service.http.delete(f"/datasets/d{number}")
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = service.get("/audit", params=query).json()
        seen += [entry["target"] for entry in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["d4", "d3", "d2", "d1", "d0"]
    is_problem(service.get("/audit?cursor=x"), 422, "invalid_input")


def make_entry(**values: Any) -> AuditEntry:
    given = {"id": new_id("audit"), "method": "POST", "route": "/jobs", "action": "", "status": 202}
    return AuditEntry(**{**given, "outcome": "done", "skipped": 0, **values})


def test_old_entries_are_dropped_in_batches(database: Database) -> None:
    with database.write() as session:
        for _ in range(5):
            add_entry(session, make_entry())
    later = utc_now() + timedelta(minutes=1)
    with database.write() as session:
        kept = add_entry(session, make_entry(id=f"audit_{int(later.timestamp() * 1000):012x}{'0' * 10}"))
        assert drop_entries(session, later, 3) == 3
        assert drop_entries(session, later, 3) == 2
        assert drop_entries(session, later, 3) == 0
        assert [each.id for each in list_entries(session, limit=9)] == [kept.id]


def test_the_hourly_sweep_drops_what_is_past_its_days(registry: Database, settings: Settings) -> None:
    with registry.write() as session:
        add_entry(session, make_entry())
    soon, late = (utc_now() + timedelta(days=settings.keep_audit_days + days) for days in (-1, 1))
    assert tidy_registry(registry, settings, now=soon).audit == 0
    assert tidy_registry(registry, settings, now=late).audit == 1
