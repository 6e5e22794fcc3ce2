"""No path and no URL that a request names is ever opened: files and connections are watched while all of them are sent.

The advisories of MLflow (CVE-2023-1177, CVE-2023-6909, CVE-2024-1558 and others) are what happens otherwise: a field
that is called a name, a source or an artifact path ends in `open()` or in an HTTP client.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from factories import upload_googl
from running_service import Service, running, safetensors_file

from app.registry.database import Database
from app.settings import Settings

CANARY = "caliper-canary"
"""A part of every path and URL that is sent: what is opened and holds it was the request's own."""

PATHS = (
    f"file:///etc/{CANARY}",
    f"../../../../../../{CANARY}",
    f"/etc/{CANARY}",
    f"..\\..\\{CANARY}",
    f"%2e%2e%2f{CANARY}",
    f"~/{CANARY}",
    f"models:/{CANARY}/1",
    f"s3://{CANARY}/key",
    f"http://127.0.0.1:1/{CANARY}",
    f"http://{CANARY}.invalid/x",
    f"//{CANARY}.invalid/x",
    f"sqlite:////tmp/{CANARY}",
)
WATCHED = {
    "open",
    "os.listdir",
    "os.scandir",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "socket.connect",
    "socket.getaddrinfo",
}


class Watch:
    """An audit hook (PEP 578) that keeps what is opened and asked for, while it is on; hooks cannot be removed."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[tuple[str, str]] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event in WATCHED:
            self.seen.append((event, " ".join(str(each) for each in arguments[:3])))


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


@pytest.fixture
def service(settings: Settings, registry: Database) -> Iterator[Service]:
    with running(settings) as started:
        yield started


def test_the_watch_sees_what_is_opened(watch: Watch, tmp_path: Path) -> None:
    """So that the silence of the others says something."""
    watch.seen.clear()
    watch.on = True
    try:
        with pytest.raises(FileNotFoundError):
            (tmp_path / CANARY).open()
        with httpx.Client(trust_env=False) as client, pytest.raises(httpx.ConnectError):
            client.get("http://127.0.0.1:1/")
    finally:
        watch.on = False
    assert any(event == "open" and CANARY in what for event, what in watch.seen)
    assert any(event == "socket.connect" and "('127.0.0.1', 1)" in what for event, what in watch.seen)


def resolve(schema: Any, document: dict[str, Any]) -> Any:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def text_fields(
    schema: Any, document: dict[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """Paths of a body's fields that take text, also as one of several kinds or as a list's items."""
    schema = resolve(schema, document)
    kinds = [resolve(each, document) for each in schema.get("anyOf", ())] or [schema]
    for kind in kinds:
        if kind.get("type") == "string":
            yield path
        if kind.get("type") == "array":
            yield from text_fields(kind.get("items", {}), document, (*path, "[]"))
        for name, inner in kind.get("properties", {}).items():
            yield from text_fields(inner, document, (*path, name)) if len(path) < 4 else ()


def body_with(path: tuple[str, ...], value: str, base: Any = None) -> Any:
    if not path:
        return value
    if path[0] == "[]":
        return [body_with(path[1:], value)]
    inner = (base or {}).get(path[0]) if isinstance(base, dict) else None
    return {**(base or {}), path[0]: body_with(path[1:], value, inner)}


def requests_with(value: str, document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every text parameter, header, form field and body field of every operation, one at a time, set to a value."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parameters = operation.get("parameters", [])
            named = {each["name"]: "x" for each in parameters if each["in"] == "path"}
            for parameter in parameters:
                place, name = parameter["in"], parameter["name"]
                if place == "path":
                    filled = {**named, name: quote(value, safe="")}
                    yield method, path.format(**filled), {}
                elif place == "query":
                    yield method, path.format(**named), {"params": {name: value}}
                else:
                    yield method, path.format(**named), {"headers": {name: value}}
            content = operation.get("requestBody", {}).get("content", {})
            for kind, body in content.items():
                yield from bodies_with(value, method, path.format(**named), kind, body, document)


def bodies_with(
    value: str, method: str, path: str, kind: str, body: Any, document: dict[str, Any]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    if kind == "application/json":
        examples = (
            [each["value"] for each in body.get("examples", {}).values()] if "examples" in body else [{}]
        )
        for field in text_fields(body["schema"], document):
            yield method, path, {"json": body_with(field, value, examples[0])}
    elif kind == "multipart/form-data":
        properties = resolve(body["schema"], document).get("properties", {})
        for name in properties:
            files = {"file": (value, safetensors_file())}
            yield method, path, {"files": files, "data": {name: value} if name != "file" else {}}
            yield method, path, {"files": {name: (value, safetensors_file())}}


def test_every_text_that_a_request_may_hold_is_sent_and_nothing_of_it_opened(
    service: Service, watch: Watch
) -> None:
    parts = service.parts
    upload_googl(parts.database, parts.storage, parts.settings)
    document = json.loads(service.get("/openapi.json").text)
    sent, statuses = 0, set()
    watch.seen.clear()
    for number, (method, path, options) in enumerate(requests_with("{}", document)):
        value = PATHS[number % len(PATHS)]
        filled = _filled(options, value)
        where = path.replace(quote("{}", safe=""), quote(value, safe=""))
        watch.on = True
        try:
            with service.http.stream(method, where, **filled) as answer:
                statuses.add(answer.status_code)
                if answer.status_code != 200 or "text/event-stream" not in answer.headers.get(
                    "content-type", ""
                ):
                    answer.read()
        finally:
            watch.on = False
        sent += 1
        assert answer.status_code < 500 or answer.status_code == 503, (method, where, answer.text)
    assert sent > 150
    assert {404, 422} <= statuses
    # The request itself goes to the service's own port; nothing else is asked for, and no name is looked up.
    own = str(service.http.base_url.port)
    opened = [
        (event, what)
        for event, what in watch.seen
        if CANARY in what or (event == "socket.connect" and own not in what and "redis" not in what)
    ]
    assert opened == []
    assert [
        what for event, what in watch.seen if event == "socket.getaddrinfo" and "127.0.0.1" not in what
    ] == []


def _filled(value: Any, text: str) -> Any:
    """The options of a request with the text in place of its mark."""
    if isinstance(value, str):
        return text if value == "{}" else value
    if isinstance(value, dict):
        return {name: _filled(each, text) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_filled(each, text) for each in value)
    return value
