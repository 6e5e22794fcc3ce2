"""Bodies that come slowly, in odd pieces, of another length than was said, or break off: at every seam of a form."""

import hashlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from running_service import Service, eventually, safetensors_file

from tests.api.abused_service import abused_service, arriving, unharmed
from tests.api.raw_http import Answer, Wire, chunked, form, head, part
from tests.api.test_http_abuse import is_refusal

FILE = safetensors_file()
FORM = form(part("name", b"torn"), part("file", FILE, "policy.safetensors", "Content-Type: text/plain"))
MULTIPART = "Content-Type: multipart/form-data; boundary=B"
PLACES = ("/checkpoints", "/checkpoints/inspect", "/datasets", "/datasets/check")


@pytest.fixture(scope="module")
def abused(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Service]:
    with abused_service(tmp_path_factory.mktemp("torn"), sqlite_template) as service:
        yield service


@pytest.fixture
def clean(
    abused: Service, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> Iterator[Service]:
    with unharmed(abused, caplog, capsys):
        yield abused


def seams(body: bytes) -> list[int]:
    """Where a form may be cut: around each line break, boundary and dash, within each, and within the file."""
    marks = (b"\r\n", b"--B", b"--B--", b": ", b"; ", b"=", b'"')
    found = {0, 1, len(body) - 1}
    for mark in marks:
        at = body.find(mark)
        while at >= 0:
            found |= {at, at + 1, at + len(mark)}
            at = body.find(mark, at + 1)
    inside = body.index(FILE)
    found = {at for at in found if not inside < at < inside + len(FILE)}
    found |= {inside, inside + 1, inside + len(FILE) // 2, inside + len(FILE) - 1, inside + len(FILE)}
    return sorted(at for at in found if at < len(body))


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize("ending", ["reset", "farewell"])
def test_a_form_that_breaks_off_at_any_seam_leaves_nothing(clean: Service, path: str, ending: str) -> None:
    start = head("POST", path, MULTIPART, f"Content-Length: {len(FORM)}")
    assert 50 < len(seams(FORM)) < 150
    for at in seams(FORM):
        with Wire(clean.url) as wire:
            assert wire.send(start, FORM[:at])
            if ending == "reset":
                wire.cut()


@pytest.mark.parametrize("path", PLACES)
def test_a_form_in_chunks_that_breaks_off_at_any_seam_leaves_nothing(clean: Service, path: str) -> None:
    body = chunked(FORM[at : at + 50] for at in range(0, len(FORM), 50))
    start = head("POST", path, MULTIPART, "Transfer-Encoding: chunked")
    for at in (*range(8), *range(8, len(body) - 8, 23), *range(len(body) - 8, len(body))):
        with Wire(clean.url) as wire:
            assert wire.send(start, body[:at])
            wire.cut()


def test_a_form_that_is_shorter_than_it_says_waits_and_leaves_nothing(clean: Service) -> None:
    with Wire(clean.url) as wire:
        wire.send(head("POST", "/checkpoints", MULTIPART, f"Content-Length: {len(FORM) + 100}"), FORM)
        eventually(lambda: arriving(clean))
    # The end of the connection is the end of the form.


def test_a_form_that_is_longer_than_it_says_is_refused(clean: Service) -> None:
    """It ends before its last boundary does; what follows is no request."""
    for short in (len(FORM) - 3, len(FORM) - 4, len(FORM) - 8, len(FORM) - 100, 100, 0):
        with Wire(clean.url) as wire:
            wire.send(head("POST", "/checkpoints", MULTIPART, f"Content-Length: {short}"), FORM)
            assert is_refusal(wire.answer())


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_form_in_pieces_of_any_size_is_read(abused: Service, size: int) -> None:
    pieces = (FORM[at : at + size] for at in range(0, len(FORM), size))
    with Wire(abused.url) as wire:
        wire.send(head("POST", "/checkpoints/inspect", MULTIPART, f"Content-Length: {len(FORM)}"))
        for piece in pieces:
            assert wire.send(piece)
        is_read(wire.answer())
    with Wire(abused.url) as wire:
        wire.send(head("POST", "/checkpoints/inspect", MULTIPART, "Transfer-Encoding: chunked"))
        wire.send(chunked(FORM[at : at + size] for at in range(0, len(FORM), size)))
        is_read(wire.answer())


def is_read(answer: Answer | None) -> None:
    assert answer is not None
    assert answer.status == 200, answer.body


def test_a_request_that_comes_byte_by_byte_is_answered(abused: Service) -> None:
    sent = head("GET", "/healthz", "X-Slow: yes")
    with Wire(abused.url) as wire:
        for at in range(len(sent)):
            assert wire.send(sent[at : at + 1])
        is_read(wire.answer())


def begin(service: Service, content: bytes = FILE) -> dict[str, Any]:
    name = f"torn {time.monotonic_ns()}"
    answer = service.post("/uploads", json={"name": name, "bytes": len(content)})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def received(service: Service, upload: str) -> int:
    return int(service.get(f"/uploads/{upload}").json()["received"])


def part_head(upload: str, offset: int, *headers: str) -> bytes:
    return head("PATCH", f"/uploads/{upload}", f"Upload-Offset: {offset}", *headers)


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_part_that_breaks_off_anywhere_keeps_what_came_and_goes_on(abused: Service, framing: str) -> None:
    upload = begin(abused)["id"]
    sizes = itertools.cycle((0, 1, 2, 50, 100, 333))
    while (at := received(abused, upload)) < len(FILE):
        rest, size = FILE[at:], next(sizes)
        sent = rest[:size]
        said = f"Content-Length: {len(rest)}" if framing == "length" else "Transfer-Encoding: chunked"
        with Wire(abused.url) as wire:
            wire.send(part_head(upload, at, said))
            wire.send(sent if framing == "length" else chunked([rest])[: size + 4])
            eventually(lambda: is_held(abused, upload))
            wire.cut()
        eventually(lambda: not is_held(abused, upload))
        assert at <= received(abused, upload) <= at + size
        if size == 333:  # on a slow machine a cut may outrun all that was sent: this one waits for its answer
            send_whole(abused, upload, received(abused, upload), 700)
    stored = abused.post("/checkpoints", files={"upload": (None, upload)})
    assert stored.status_code == 201, stored.text
    assert stored.json()["sha256"] == hashlib.sha256(FILE).hexdigest()


def is_held(service: Service, upload: str) -> bool:
    """Whether a request has the upload's file open: asked of the process, for another request would get in its way."""
    waiting = str(service.parts.storage.waiting(upload).resolve())
    return any(file.path == waiting for file in psutil.Process().open_files())


def send_whole(service: Service, upload: str, at: int, size: int) -> None:
    content = FILE[at : at + size]
    answer = service.http.patch(f"/uploads/{upload}", content=content, headers={"Upload-Offset": str(at)})
    assert answer.status_code == 200, answer.text


def test_a_part_longer_than_it_says_keeps_no_more_than_it_said(abused: Service) -> None:
    upload = begin(abused)["id"]
    with Wire(abused.url) as wire:
        wire.send(part_head(upload, 0, "Content-Length: 10"), FILE)
        answer = wire.answer()
        assert answer is None or answer.status in {200, 400}  # what follows is no request
    eventually(lambda: not is_held(abused, upload))
    assert received(abused, upload) in {0, 10}  # a connection that is closed takes what was not read with it


def test_a_part_beyond_the_end_is_refused_before_it_is_read(abused: Service) -> None:
    upload = begin(abused)["id"]
    with Wire(abused.url) as wire:
        wire.send(part_head(upload, 0, f"Content-Length: {len(FILE) + 1}"))
        answer = wire.answer()
    assert answer is not None
    assert answer.status == 413
    assert received(abused, upload) == 0
