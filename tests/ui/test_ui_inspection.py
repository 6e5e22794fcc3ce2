"""Files on the inspection's page: read and forgotten, or stored on request; with and without a script."""

import os
import pickle
from pathlib import Path
from typing import Any

import httpx
import pytest
from page_markup import read_fragment, read_page, rows_of, text_of
from running_service import Service, eventually, is_problem, running, safetensors_file

from app.registry.database import Database
from app.settings import Settings

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
HTMX = {**SAME_ORIGIN, "HX-Request": "true"}


@pytest.fixture(scope="module")
def service(shared_service: Service) -> Service:
    return shared_service


def kept(service: Service) -> tuple[set[str], set[Path]]:
    """Everything that the service holds."""
    items = service.get("/checkpoints").json()["items"]
    return {each["id"] for each in items}, set(service.parts.storage.objects.rglob("*"))


class Exploit:
    def __reduce__(self) -> Any:
        return os.system, ("touch canary-of-the-pages",)


def send(service: Service, path: str, content: bytes, **headers: str) -> httpx.Response:
    files = {"file": ("<b>policy.safetensors", content)}
    return service.post(path, files=files, headers={**SAME_ORIGIN, **headers})


def test_a_file_is_read_and_nothing_is_kept(service: Service) -> None:
    before = kept(service)
    tree = read_page(send(service, "/ui/inspect", safetensors_file(6, (8, 4), 7)))
    assert "This file was read and forgotten." in text_of(tree.find(".//main"))
    assert rows_of(tree, "6 layers, 204 parameters")[0][0] == "actor.0"
    assert kept(service) == before
    eventually(lambda: list(service.parts.storage.incoming.iterdir()) == [])


def test_with_a_script_the_report_alone_comes_back(service: Service) -> None:
    tree = read_fragment(send(service, "/ui/inspect", safetensors_file(), **HTMX))
    assert "<b>policy.safetensors" in text_of(tree)
    assert tree.find(".//form") is None


def test_a_hostile_file_is_reported_by_severity_and_not_run(service: Service) -> None:
    tree = read_page(send(service, "/ui/inspect", pickle.dumps({"w": Exploit()})))
    findings = rows_of(tree, "What was noticed")
    assert findings[0][0] == "high"
    assert "system" in findings[0][1]
    assert not os.path.exists("canary-of-the-pages")  # noqa: PTH110


@pytest.mark.parametrize("path", ["/ui/inspect", "/ui/checkpoints"])
def test_what_is_no_checkpoint_is_refused_with_the_reason(service: Service, path: str) -> None:
    before = kept(service)
    tree = read_page(send(service, path, b"hello"), 422)
    assert "unreadable_checkpoint" in text_of(tree.find(".//main"))
    assert "unreadable_checkpoint" in text_of(read_fragment(send(service, path, b"hello", **HTMX)))
    assert kept(service) == before


def test_a_form_without_a_file_is_refused(service: Service) -> None:
    for headers in (SAME_ORIGIN, HTMX):
        answer = service.post("/ui/inspect", data={"name": "x"}, headers=headers)
        assert "the body is no form" in answer.text


def test_a_file_is_stored_on_request_and_shown(service: Service) -> None:
    answer = send(service, "/ui/checkpoints", safetensors_file())
    stored = service.get("/checkpoints").json()["items"][0]
    assert (answer.status_code, answer.headers["location"]) == (303, f"/ui/checkpoints/{stored['id']}")
    again = send(service, "/ui/checkpoints", safetensors_file(), **HTMX)
    assert (again.status_code, again.headers["hx-redirect"]) == (204, f"/ui/checkpoints/{stored['id']}")
    read_page(service.get(f"/ui/checkpoints/{stored['id']}"))


def test_a_file_past_the_limit_is_refused_by_the_api(settings: Settings, registry: Database) -> None:
    limit = len(safetensors_file())
    with running(settings.model_copy(update={"max_upload_bytes": limit})) as service:
        read_page(send(service, "/ui/inspect", safetensors_file()))
        answer = send(service, "/ui/inspect", safetensors_file() + b"\0")
        assert f"exceeds the limit of {limit:,}" in text_of(read_page(answer, 413).find(".//main"))


def test_a_file_of_another_site_s_form_is_not_even_read(service: Service) -> None:
    files = {"file": ("a.safetensors", safetensors_file())}
    before = kept(service)
    for path in ("/ui/inspect", "/ui/checkpoints"):
        foreign = service.post(path, files=files, headers={"Sec-Fetch-Site": "cross-site"})
        is_problem(foreign, 403, "cross_origin")
    assert kept(service) == before


def test_the_form_asks_for_a_file_before_there_is_one(service: Service) -> None:
    tree = read_page(service.get("/ui/inspect"))
    form = next(each for each in tree.iter("form") if each.get("action") == "/ui/inspect")
    assert form.get("enctype") == "multipart/form-data"
