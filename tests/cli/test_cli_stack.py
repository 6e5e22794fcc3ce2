"""serve and demo: what they start, and the exit codes of how they end."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine

from app.demo import DemoFailed, DemoOptions, View
from app.errors import Conflict
from app.settings import Settings


class FakeStack:
    """Notes its settings and says that it is ready."""

    settings: Settings
    failure: Exception | None = None

    def __init__(self, settings: Settings, *, progress: Any) -> None:
        type(self).settings = settings
        self._progress = progress

    def serve(self) -> None:
        if self.failure:
            raise self.failure
        self._progress("api: starting")
        self._progress("ready at http://127.0.0.1:9000")


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> type[FakeStack]:
    monkeypatch.setattr("app.local.LocalStack", FakeStack)
    monkeypatch.setattr(FakeStack, "failure", None)
    return FakeStack


def test_serve_says_what_it_starts_and_where(
    caliper: CommandLine, stack: type[FakeStack], tmp_path: Path
) -> None:
    done = caliper("serve", "--data-dir", tmp_path / "here", "--port", 9000)
    assert done.exit_code == 0
    assert f"data in {tmp_path / 'here'}" in done.stderr
    assert "api: starting" in done.stderr
    assert "http://127.0.0.1:9000/docs" in done.stderr
    assert (stack.settings.port, stack.settings.data_dir) == (9000, tmp_path / "here")


def test_serve_tells_programs_its_address_in_one_line(
    caliper: CommandLine, stack: type[FakeStack], tmp_path: Path
) -> None:
    done = caliper("serve", "--data-dir", tmp_path, "--port", 9000, "--json")
    assert json.loads(done.stdout) == {
        "url": "http://127.0.0.1:9000",
        "data_dir": str(tmp_path),
        "logs_dir": str(tmp_path / "logs"),
    }
    assert done.stdout.count("\n") == 1


def test_serve_takes_the_rest_from_the_environment(
    caliper: CommandLine, stack: type[FakeStack], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALIPER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CALIPER_PORT", "8500")
    caliper("serve", "--port", 8600)
    assert (stack.settings.port, stack.settings.data_dir) == (8600, tmp_path)


def test_serve_that_cannot_start_is_a_message(
    caliper: CommandLine, stack: type[FakeStack], tmp_path: Path
) -> None:
    stack.failure = Conflict("port 8400 is taken", hint="choose another with --port 8401")
    done = caliper("serve", "--data-dir", tmp_path)
    assert done.exit_code == 1
    assert "error: port 8400 is taken" in done.stderr
    assert "hint: choose another with --port 8401" in done.stderr


@pytest.fixture
def handlers() -> Iterator[None]:
    """`demo` sets a handler for SIGTERM; the test process wants its own back."""
    import signal

    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def play(monkeypatch: pytest.MonkeyPatch, ending: BaseException | None) -> list[DemoOptions]:
    seen: list[DemoOptions] = []

    def run_demo(options: DemoOptions, view: View) -> None:
        seen.append(options)
        view.step("Starting [bold]")
        view.say("a remark")
        view.passed("a check")
        if ending is not None:
            raise ending
        view.farewell({"size one": "caliper estimate"})

    monkeypatch.setattr("app.demo.run_demo", run_demo)
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    return seen


@pytest.mark.usefixtures("handlers")
def test_demo_numbers_its_steps_and_passes_its_options(
    caliper: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = play(monkeypatch, None)
    done = caliper("demo", "--timesteps", 1000, "--data-dir", tmp_path, "--keep-data")
    assert done.exit_code == 0
    assert seen == [DemoOptions(tmp_path, 1000, keep_data=True)]
    assert [line for line in done.stdout.splitlines() if line] == [
        "1. Starting [bold]",
        "  a remark",
        "  ✓ a check",
        "Where to go next",
        "  size one",
        "    caliper estimate",
    ]


@pytest.mark.usefixtures("handlers")
def test_demo_keeps_stdout_for_what_it_found(
    caliper: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    play(monkeypatch, None)
    done = caliper("demo", "--data-dir", tmp_path, "--json")
    assert json.loads(done.stdout) == {"checks": ["a check"], "places": {"size one": "caliper estimate"}}
    assert "1. Starting" in done.stderr


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize(
    ("ending", "code", "words"),
    [
        (DemoFailed("sizes differ", hint="look"), 1, "error: sizes differ"),
        (KeyboardInterrupt(), 130, "the service is down"),
    ],
)
def test_demo_that_ends_early_says_why(
    caliper: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    ending: BaseException,
    code: int,
    words: str,
) -> None:
    play(monkeypatch, ending)
    done = caliper("demo", "--data-dir", tmp_path)
    assert done.exit_code == code
    assert words in done.stderr
    assert str(tmp_path) in done.stderr


def test_the_demos_defaults_are_one_and_the_same() -> None:
    import inspect

    from app.cli.demo import demo_command

    defaults = {name: item.default for name, item in inspect.signature(demo_command).parameters.items()}
    assert DemoOptions(timesteps=defaults["timesteps"], data_dir=defaults["data_dir"]) == DemoOptions()
