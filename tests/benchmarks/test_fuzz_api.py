"""Every operation of the API bears good and bad data; and the fuzzer that says so sees what would be wrong."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fuzz_api import Tally, fuzz
from benchmarks.fuzz_stack import fuzzed_service

SEED = 8
ITEM = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}


def document(**responses: Any) -> dict[str, Any]:
    """An API of one operation."""
    parameters = [
        {"name": "size", "in": "query", "required": True, "schema": {"type": "integer", "maximum": 9}}
    ]
    operation = {"operationId": "get_item", "parameters": parameters, "responses": responses}
    info = {"title": "wrong", "version": "1"}
    return {"openapi": "3.1.0", "info": info, "paths": {"/item": {"get": operation}}}


@pytest.fixture
def wrong_service() -> Iterator[str]:
    """A service that answers 200 whatever it is asked, 500 now and then, and what it did not promise."""

    class Wrong(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            promised = json.dumps(
                document(**{"200": {"description": "", "content": {"application/json": {"schema": ITEM}}}})
            )
            if self.path == "/openapi.json":
                self._answer(200, promised)
            elif "size=0" in self.path:
                self._answer(500, "{}")
            else:
                self._answer(200, '{"id": 1}')

        def _answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            """Nothing is to be read here."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Wrong)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def titles(tally: Tally) -> set[str]:
    return {what for what, _ in tally.findings}


def test_the_fuzzer_finds_what_is_wrong(wrong_service: str) -> None:
    found = titles(fuzz(wrong_service, seed=SEED, examples=20))
    assert {"Server error", "Response violates schema", "Schema-violating request accepted"} <= found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_operation_bears_good_and_bad_data(tmp_path: Path) -> None:
    with fuzzed_service(tmp_path) as service:
        tally = fuzz(service.url, seed=SEED, examples=4)
        traces = service.traces()
    assert tally.findings == {}
    assert traces == 0
    assert set(tally.requests) >= {"examples", "coverage", "fuzzing", "stateful"}
    assert len(tally.operations) >= 48
    accepted = [label for label in tally.operations if tally.accepted[label]]
    assert len(accepted) >= 36, "few requests went beyond the checks of their data"
