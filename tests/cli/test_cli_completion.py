"""What a shell offers after Tab: from a played service, and nothing, soon, where none answers."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typer.testing import CliRunner

from app.cli import app

PAGES = {
    "/jobs": '{"items": [{"id": "job_1", "state": "running", "name": "demo"}, '
    '{"id": "job_2", "state": "failed", "name": "x"}], "next_cursor": null}',
    "/checkpoints": '{"items": [{"id": "checkpoint_1", "kind": "final", "name": "m", "aliases": ["live"]}], '
    '"next_cursor": null}',
    "/datasets": '{"items": [{"id": "dataset_1", "name": "googl", "rows": 2335}], "next_cursor": null}',
}


class Lists(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = PAGES[self.path.partition("?")[0]].encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing: the test's output is its own."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Lists)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def tab(line: str, url: str) -> list[str]:
    """What bash is told for a line whose end is being typed."""
    env = {
        "CALIPER_URL": url,
        "_CALIPER_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - (not line.endswith(" "))),
    }
    done = CliRunner().invoke(app, [], prog_name="caliper", env=env)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("caliper jo", ["jobs"]),
        ("caliper jobs w", ["watch"]),
        ("caliper jobs watch ", ["job_1", "job_2"]),
        ("caliper jobs list --state f", ["failed"]),
        ("caliper checkpoints show l", ["live"]),
        ("caliper checkpoints show ", ["live", "checkpoint_1"]),
        ("caliper datasets show g", ["googl"]),
        ("caliper train --dataset d", ["dataset_1"]),
    ],
)
def test_commands_ids_and_names_are_offered(url: str, line: str, words: list[str]) -> None:
    assert tab(line, url) == words


def test_nothing_is_offered_where_nothing_answers() -> None:
    assert tab("caliper jobs watch ", "http://127.0.0.1:1") == []
    assert tab("caliper jobs watch ", "no address") == []


def test_a_service_that_hangs_does_not_hang_the_shell() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert tab("caliper jobs watch ", f"http://127.0.0.1:{silent.getsockname()[1]}") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_shown_for_a_shell(shell: str) -> None:
    done = CliRunner().invoke(app, [], prog_name="caliper", env={"_CALIPER_COMPLETE": f"source_{shell}"})
    assert "_CALIPER_COMPLETE" in done.stdout
