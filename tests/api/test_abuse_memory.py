"""A real API process bears every abuse again and again, and bodies that never end, in the memory that it had."""

from collections.abc import Iterator

import pytest

from benchmarks.api_process import ApiProcess, make_settings, running_api
from tests.api.abuses import ABUSES, MORE
from tests.api.raw_http import Wire, head

MIB = 1 << 20
BLOCK = b"a" * MIB
MUCH = 96
"""Blocks that are sent of what never ends, unless the service closes before."""

MULTIPART = "Content-Type: multipart/form-data; boundary=B"
LONG = f"Content-Length: {MUCH * MIB * 2}"
FILE_HEAD = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
ENDLESS = {
    "a path": b"GET /",
    "a header": b"GET / HTTP/1.1\r\nX: ",
    "a chunk's line": head("POST", "/jobs", "Transfer-Encoding: chunked") + b"1;",
    "a trailer": head("POST", "/jobs", "Transfer-Encoding: chunked") + b"1\r\n{\r\n0\r\nX: ",
    "a JSON body": head("POST", "/jobs", "Content-Type: application/json", LONG),
    "a form without a boundary": head("POST", "/checkpoints", MULTIPART, LONG),
    "a part's header": head("POST", "/checkpoints", MULTIPART, LONG) + FILE_HEAD + b"X: ",
    "a text of a form": head("POST", "/checkpoints", MULTIPART, LONG)
    + b'--B\r\nContent-Disposition: form-data; name="name"\r\n\r\n',
    "a file of a form": head("POST", "/checkpoints", MULTIPART, LONG) + FILE_HEAD + b"\r\n",
    "what follows a form": head("POST", "/checkpoints", MULTIPART, LONG) + FILE_HEAD + b"\r\na\r\n--B--\r\n",
    "a body that nobody reads": head("GET", "/healthz", LONG),
    "a body that is refused": head(
        "POST", "/jobs", "Content-Type: application/json", LONG, "Content-Encoding: br"
    ),
    "a part of no upload": head("PATCH", "/uploads/x", "Upload-Offset: 0", LONG),
}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    folder = tmp_path_factory.mktemp("abused")
    rates = {"requests_per_second": 1_000_000, "requests_burst": 1_000_000}
    with running_api(make_settings(folder, **rates), folder / "api.log") as process:
        yield process
        assert process.traces() == 0


def abuse_all(api: ApiProcess) -> None:
    for sent in (*ABUSES.values(), *MORE.values()):
        with Wire(api.url) as wire:
            wire.send(sent)
            wire.answer()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_same_abuse_again_and_again_takes_no_more_memory(api: ApiProcess) -> None:
    for _ in range(10):  # each thread comes to its own arena
        abuse_all(api)
    before = api.resident_bytes()
    for _ in range(10):
        abuse_all(api)
    assert api.resident_bytes() - before < 12 * MIB


@pytest.mark.slow
@pytest.mark.parametrize("name", ENDLESS)
def test_what_never_ends_is_not_kept_in_memory(api: ApiProcess, name: str) -> None:
    with Wire(api.url) as wire:  # whatever the first request of its kind loads
        wire.send(ENDLESS[name], BLOCK)
        wire.cut()
    api.forget_peak()
    before = api.peak_bytes()
    with Wire(api.url) as wire:
        sent = wire.send(ENDLESS[name]) and all(wire.send(BLOCK) for _ in range(MUCH))
        assert sent or name != "a file of a form"
        wire.cut()
    assert api.peak_bytes() - before < 24 * MIB
