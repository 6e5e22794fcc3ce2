"""The same reader over a local file, byte ranges, and a real HTTP server: how often it asks, and for how much."""

import http.server
import io
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from app.checkpoint.http_ranges import open_url
from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.limits import Meter, ReadLimits
from app.checkpoint.source import BytesSource, FileSource, PartSource, RangeReader, RangeSource
from app.errors import InvalidInput, LimitExceeded, NotFound, Unavailable, UnreadableCheckpoint
from app.network.config import PPOConfig
from app.network.disk.canonical import canonical_tree
from app.network.disk.contents import (
    LearnedState,
    adam_specs,
    checkpoint_contents,
    policy_specs,
    trainer_state_specs,
)
from app.network.shape import NetworkShape
from tests.attacks.builders import honest_zip
from tests.checkpoint.real_files import Policy, caliper_tree, plain_config, saved
from worker.save import save_checkpoint

MOST_BYTES, MOST_REQUESTS = 32 * 1024, 5


class Asked:
    """A file as byte ranges, and what was asked of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.spans: list[tuple[int, int]] = []

    def read(self, offset: int, length: int) -> bytes:
        self.spans.append((offset, length))
        return self.data[offset : offset + length]

    def reader(self) -> RangeReader:
        return RangeReader(len(self.data), self.read, "remote.pt")


def checkpoint(path: Path, hidden: tuple[int, ...], **options: Any) -> bytes:
    """A whole Caliper checkpoint of a market policy, as the worker saves it."""
    config = PPOConfig(hidden_dims=hidden, **options)
    shape = NetworkShape(
        1060, hidden, 3, "discrete", layer_norm=config.layer_norm, shared_trunk=config.shared_trunk
    )
    specs = (
        policy_specs(shape),
        adam_specs(shape, 3e-4),
        trainer_state_specs(shape, config, device_type="cpu"),
    )
    made = (
        canonical_tree(s, lambda spec, _: torch.ones(spec.shape, dtype=getattr(torch, spec.dtype)))
        for s in specs
    )
    return save_checkpoint(path, checkpoint_contents(shape, config, LearnedState(*made))).path.read_bytes()


@pytest.mark.parametrize(
    ("hidden", "options"),
    [
        ((8,), {}),
        ((512, 256), {}),
        ((1024, 512, 256), {}),
        ((256, 128, 64, 32), {"shared_trunk": False, "layer_norm": True}),
    ],
)
def test_a_checkpoint_of_any_size_is_read_in_five_requests(
    hidden: tuple[int, ...], options: dict[str, Any], tmp_path: Path
) -> None:
    asked = Asked(checkpoint(tmp_path / "run.pt", hidden, **options))
    report = inspect_checkpoint(asked.reader(), with_sha256=False)
    assert len(asked.spans) <= MOST_REQUESTS, asked.spans
    assert sum(length for _, length in asked.spans) == report.bytes_read <= MOST_BYTES
    assert report.architecture.hidden_dims.value == hidden
    assert report.optimizer.steps == 1
    assert [finding.code for finding in report.findings] == ["headers_not_compared"]


def test_ranges_and_a_local_file_tell_the_same(tmp_path: Path) -> None:
    data = checkpoint(tmp_path / "run.pt", (32, 16))
    local = inspect_checkpoint(tmp_path / "run.pt").plain()
    remote = inspect_checkpoint(Asked(data).reader()).plain()
    differing = {key for key in local if local[key] != remote[key]}
    assert differing == {
        "name",
        "bytes_read",
    }  # a hashed file's headers are compared as they pass, wherever it is
    assert local["sha256"] == remote["sha256"]


def test_no_request_touches_the_weights() -> None:
    data = saved(caliper_tree(Policy(), plain_config()))
    asked = Asked(data)
    inspect_checkpoint(asked.reader(), with_sha256=False)
    longest = max(length for _, length in asked.spans)
    assert longest < len(data) / 2


def test_neighbours_become_one_request_and_what_is_kept_is_not_asked_again() -> None:
    asked = Asked(bytes(range(256)) * 40)
    source = RangeSource(len(asked.data), asked.read, Meter(ReadLimits()))
    source.prefetch([(5000, 10), (100, 50), (160, 40), (9_990, 4_000)])
    assert asked.spans == [(100, 100), (5000, 10), (9_990, 250)]
    assert source.read_at(110, 80) == asked.data[110:190]
    source.prefetch([(90, 120)])
    assert asked.spans[3:] == [(90, 120)] or asked.spans[3:] == [(90, 10), (200, 10)]
    assert source.read_at(90, 120) == asked.data[90:210]
    count = len(asked.spans)
    assert source.read_at(95, 100) == asked.data[95:195]
    assert len(asked.spans) == count


def test_a_part_fetches_within_itself() -> None:
    asked = Asked(bytes(1000))
    part = PartSource(RangeSource(1000, asked.read, Meter(ReadLimits())), 100, 50)
    part.prefetch([(40, 500), (90, 10)])
    assert asked.spans == [(140, 10)]
    BytesSource(b"12").prefetch([(0, 2)])


def test_requests_have_a_limit() -> None:
    source = RangeSource(1000, Asked(bytes(1000)).read, Meter(ReadLimits(max_requests=2)))
    source.read_at(0, 1)
    source.read_at(5, 1)
    with pytest.raises(LimitExceeded) as caught:
        source.read_at(9, 1)
    assert caught.value.limit_name == "max_requests"


def test_a_reader_that_gives_too_little_is_told() -> None:
    source = RangeSource(1000, lambda _, length: bytes(length - 1), Meter(ReadLimits()))
    with pytest.raises(UnreadableCheckpoint, match="ended early"):
        source.read_at(0, 10)
    with pytest.raises(UnreadableCheckpoint, match="ended early"):
        list(source.blocks(100))


def test_a_file_that_reads_in_pieces_is_read_whole() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 3))

    assert FileSource(Slow(b"0123456789"), Meter(ReadLimits())).read_at(1, 8) == b"12345678"


class Store(http.server.BaseHTTPRequestHandler):
    """An object store's ranges, and its ways to fail."""

    protocol_version = "HTTP/1.1"
    files: dict[str, bytes]
    asked: list[str]

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.asked.append(asked)
        path, data = self.path.partition("?")[0], self.files.get(self.path.partition("?")[0])
        start, end = (int(part) for part in re.fullmatch(r"bytes=(\d+)-(\d+)", asked).groups())  # type: ignore[union-attr]
        if data is None:
            self._answer(404, b"")
        elif path == "/whole":
            self._answer(200, data)
        elif path == "/broken":
            self._answer(503, b"")
        else:
            part = data[start : end + 1]
            total = len(data) + (len(self.asked) if path == "/changing" else 0)
            if path == "/short" and start:
                part = part[:-1]
            if path == "/closing":
                self.close_connection = True
            where = f"bytes {start}-{start + len(data[start : end + 1]) - 1}/{total}"
            self._answer(206, part, {"Content-Range": where, "ETag": '"1"'})

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Silence."""


class Server(http.server.ThreadingHTTPServer):
    """Silent where a client goes away in the middle of an answer."""

    def handle_error(self, *_: Any) -> None:
        """Nothing: the client's side is what is tested."""


@pytest.fixture
def store() -> Iterator[tuple[str, type[Store]]]:
    data = saved(caliper_tree(Policy(), plain_config()))
    names = ("/run.pt", "/whole", "/broken", "/changing", "/short", "/closing")
    handler = type("Handler", (Store,), {"files": dict.fromkeys(names, data), "asked": []})
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", handler
        server.shutdown()
        thread.join()


def test_five_requests_over_http(store: tuple[str, type[Store]]) -> None:
    url, handler = store
    with open_url(f"{url}/run.pt?signature=x") as reader:
        report = inspect_checkpoint(reader, with_sha256=False)
    assert (report.name, report.producer, report.complete) == ("run.pt", "caliper", True)
    assert len(handler.asked) <= MOST_REQUESTS
    assert sum(_length(asked) for asked in handler.asked) == report.bytes_read <= MOST_BYTES


def _length(asked: str) -> int:
    start, end = asked.removeprefix("bytes=").split("-")
    return int(end) - int(start) + 1


def test_a_connection_that_was_closed_is_opened_again(store: tuple[str, type[Store]]) -> None:
    with open_url(f"{store[0]}/closing") as reader:
        assert inspect_checkpoint(reader, with_sha256=False).complete


@pytest.mark.parametrize(
    ("path", "error", "text"),
    [
        ("/none", NotFound, "no such file"),
        ("/whole", UnreadableCheckpoint, "byte ranges"),
        ("/broken", Unavailable, "503"),
        ("/changing", UnreadableCheckpoint, "changed"),
        ("/short", Unavailable, "number of bytes"),
    ],
)
def test_servers_that_fail(
    path: str, error: type[Exception], text: str, store: tuple[str, type[Store]]
) -> None:
    with pytest.raises(error, match=text), open_url(store[0] + path) as reader:
        inspect_checkpoint(reader, with_sha256=False)


def test_urls_of_other_kinds_are_refused() -> None:
    for url in ("file:///etc/passwd", "ftp://host/x", "run.pt", "http://"):
        with pytest.raises(InvalidInput), open_url(url):
            pass


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(Unavailable), open_url("http://127.0.0.1:9/run.pt"):
        pass


@pytest.mark.parametrize("cut", [lambda data: data[: len(data) // 2], lambda data: data + b"x"])
def test_damage_is_found_over_ranges_too(cut: Callable[[bytes], bytes]) -> None:
    asked = Asked(cut(honest_zip()))
    try:
        report = inspect_checkpoint(asked.reader(), with_sha256=False)
    except UnreadableCheckpoint:
        return
    assert report.suspicious
