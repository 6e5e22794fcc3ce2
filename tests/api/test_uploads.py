"""Uploads of any size: refused in time, in little memory, without a rest on disk."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import pytest
from running_service import Service, eventually, is_problem, safetensors_file
from starlette.requests import Request
from starlette.types import Message

from app.api.uploads import LimitedRequest
from app.errors import InvalidInput, LimitExceeded
from app.settings import MIB, Settings

BOUNDARY = "frontier"


def head(field: str = "file") -> bytes:
    return f"--{BOUNDARY}\r\nContent-Disposition: form-data; name={field}; filename=a.pt\r\n\r\n".encode()


class Wire:
    """A request whose body never ends, and how much of it was taken."""

    def __init__(
        self, first: bytes, *, content_type: str = f"multipart/form-data; boundary={BOUNDARY}"
    ) -> None:
        self.first = first
        self.taken = 0
        headers = [(b"content-type", content_type.encode())]
        self.request = Request({"type": "http", "method": "POST", "headers": headers}, self.receive)

    async def receive(self) -> Message:
        body = self.first if self.taken == 0 else b"\0" * (1 << 16)
        self.taken += len(body)
        return {"type": "http.request", "body": body, "more_body": True}

    def limited(self, settings: Settings) -> LimitedRequest:
        settings.spool_dir.mkdir(parents=True, exist_ok=True)
        return LimitedRequest(self.request, settings, file_limit=settings.max_upload_bytes, fields=["file"])


def left_behind(settings: Settings) -> list[Any]:
    """Files that an upload forgot: neither the registry's nor the storage's own mark."""
    files = (path for path in settings.data_dir.rglob("*") if path.is_file())
    return [path for path in files if "caliper.db" not in path.name and path.name != "storage_id"]


async def read_form(request: LimitedRequest) -> None:
    await request.form()


async def read_body(request: LimitedRequest) -> None:
    await request.body()


def send(service: Service, body: Any, **headers: str) -> httpx.Response:
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}", **headers}
    return service.post("/checkpoints/inspect", content=body, headers=headers)


@pytest.fixture
def small(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_upload_bytes": MIB})


def test_the_rest_of_a_file_over_the_limit_is_not_read(small: Settings) -> None:
    wire = Wire(head())
    with pytest.raises(LimitExceeded) as refused:
        anyio.run(read_form, wire.limited(small))
    assert refused.value.pointer == "file"
    assert MIB < wire.taken < MIB + (1 << 17) + 200
    assert left_behind(small) == []


def test_the_rest_of_a_form_around_the_file_is_not_read(small: Settings) -> None:
    wire = Wire(head() + f"x\r\n--{BOUNDARY}--\r\n".encode())
    with pytest.raises(LimitExceeded):
        anyio.run(read_form, wire.limited(small))
    assert wire.taken < 4 * MIB


def test_an_unknown_field_is_refused_before_its_file_is_read(small: Settings) -> None:
    wire = Wire(head("fil"))
    with pytest.raises(InvalidInput, match="unknown form field 'fil'"):
        anyio.run(read_form, wire.limited(small))
    assert wire.taken == len(head("fil"))


def test_the_rest_of_a_json_body_over_the_limit_is_not_read(small: Settings) -> None:
    wire = Wire(b"{", content_type="application/json")
    with pytest.raises(LimitExceeded) as refused:
        anyio.run(read_body, wire.limited(small))
    assert refused.value.limit == small.max_body_bytes
    assert wire.taken < small.max_body_bytes + (1 << 17)


def test_a_file_over_the_limit_is_refused_over_http(small: Settings, make_service: Any) -> None:
    with make_service(small) as service:
        body = head() + b"\0" * (2 * MIB) + f"\r\n--{BOUNDARY}--\r\n".encode()
        problem = is_problem(send(service, body), 413, "limit_exceeded")
        assert (problem["limit"], problem["pointer"]) == (MIB, "file")
        assert service.get("/healthz").status_code == 200
        eventually(lambda: left_behind(service.settings) == [])


def test_a_declared_length_over_the_limit_is_refused_at_once(small: Settings, make_service: Any) -> None:
    with make_service(small) as service:
        body = b"--frontier--\r\n"
        request = service.http.build_request(
            "POST",
            "/checkpoints/inspect",
            content=body + b"\0" * (4 * MIB),
            headers={"content-type": f"multipart/form-data; boundary={BOUNDARY}"},
        )
        problem = is_problem(service.http.send(request), 413, "limit_exceeded")
        assert problem["actual"] > 4 * MIB


def test_two_files_have_the_limit_each(small: Settings, make_service: Any) -> None:
    with make_service(small) as service:
        content = b"\0" * (MIB - 10)
        files = {"left": ("a", content), "right": ("b", content)}
        is_problem(service.post("/checkpoints/diff", files=files), 422, "unreadable_checkpoint")
        files["right"] = ("b", content + b"\0" * 11)
        problem = is_problem(service.post("/checkpoints/diff", files=files), 413, "limit_exceeded")
        assert problem["pointer"] == "right"


def test_a_large_upload_takes_little_memory(service: Service) -> None:
    body = iter([head(), *[b"\0" * (1 << 16)] * 1024, f"\r\n--{BOUNDARY}--\r\n".encode()])
    tracemalloc.start()
    try:
        answer = send(service, body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    is_problem(answer, 422, "unreadable_checkpoint")
    assert peak < 24 * MIB


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nothing of a form",
        b"--frontier\r\n\r\n",
        b"--frontier\r\nContent-Disposition: form-data\r\n\r\nx\r\n",
        b'--frontier\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf',
    ],
)
def test_a_broken_form_is_refused(service: Service, body: bytes) -> None:
    answer = send(service, body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    eventually(lambda: left_behind(service.settings) == [])


def test_a_form_of_another_kind_is_refused(service: Service) -> None:
    is_problem(service.post("/checkpoints/inspect", data={"file": "x"}), 422, "invalid_input")
    is_problem(service.post("/checkpoints/inspect", content=safetensors_file()), 422, "invalid_input")
    missing = service.post(
        "/checkpoints/inspect", content=b"x", headers={"content-type": "multipart/form-data"}
    )
    is_problem(missing, 422, "invalid_input")


def test_a_file_field_that_is_text_is_refused(service: Service) -> None:
    answer = service.post("/checkpoints/inspect", files={"file": (None, "text")})
    assert is_problem(answer, 422, "invalid_input")["pointer"] == "file"


def test_too_many_fields_or_too_long_ones_are_refused(service: Service) -> None:
    many = [("name", (None, "x"))] * 60
    is_problem(service.post("/checkpoints/inspect", files=many), 422, "invalid_input")
    long = {"name": (None, "x" * 3 * MIB), "file": ("a", safetensors_file())}
    is_problem(service.post("/checkpoints/inspect", files=long), 422, "invalid_input")


def test_a_second_file_in_a_field_is_refused_and_not_chosen_from(service: Service) -> None:
    files = [("file", ("a", safetensors_file())), ("file", ("b", safetensors_file(hidden=(2,))))]
    problem = is_problem(service.post("/checkpoints/inspect", files=files), 422, "invalid_input")
    assert (problem["pointer"], problem["detail"]) == ("file", "the field holds a second file")
    eventually(lambda: left_behind(service.settings) == [])


def test_a_client_that_goes_away_leaves_nothing_behind(service: Service) -> None:
    arrived = service.parts.storage.incoming

    def breaking() -> Iterator[bytes]:
        yield head() + b"\0" * (3 * MIB)
        eventually(lambda: [path for path in arrived.iterdir() if path.stat().st_size > MIB])
        raise ConnectionError("the cable")

    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    with httpx.Client(base_url=service.url) as other, pytest.raises(ConnectionError):
        other.post("/checkpoints/inspect", content=breaking(), headers=headers)
    eventually(lambda: left_behind(service.settings) == [])
