"""Every command, by enumeration: it is documented, it speaks JSON, and it fails in one line."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from command_line import CommandLine
from fake_service import Piece, job, stream
from played_answers import CHECKPOINT, COSTS, DATASET, EVENTS, RESULT
from typer.core import TyperGroup

from app.cli import app
from app.cli.group import unwrap

ROOT = typer.main.get_command(app)
WORKER = {
    "id": "caliper@gpu",
    "tier": "low",
    "queue": "caliper.low",
    "device": {"name": "T4"},
    "seen_at": "2026-11-23T12:00:00Z",
}
CALIBRATION = {
    "id": "calibration_1",
    "device": "cpu",
    "loaded": False,
    "versions": {"torch": "2.13.0"},
    "measured_at": "2026-11-23T12:00:00Z",
}
AUDITED = {
    "id": "audit_1",
    "at": "2026-11-23T12:00:00Z",
    "key_id": None,
    "address": "127.0.0.1",
    "method": "POST",
    "route": "/jobs",
    "action": "submit a job",
    "target": "job_1",
    "status": 202,
}
LONG = {
    "serve",
    "demo",
    "selftest",
    "calibrate",
    "latency",
    "backup",
    "restore",
    "registry",
    "doctor",
    "keys",
}
"""What runs for minutes, until it is stopped, or on a registry of its own; their --json has tests of their own."""


def commands(group: Any = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, (*path, name))
        if not isinstance(command, TyperGroup) or command.invoke_without_command:
            yield (*path, name), command


COMMANDS = dict(commands())
each_command = pytest.mark.parametrize("path", COMMANDS, ids=" ".join)


def test_the_commands_are_those_that_users_were_promised() -> None:
    promised = (
        "estimate, inspect, diff, datasets check, datasets upload, datasets list, datasets show, datasets delete, "
        "train, jobs list, jobs show, jobs watch, jobs cancel, jobs resume, checkpoints list, checkpoints show, "
        "checkpoints download, checkpoints upload, checkpoints tag, checkpoints alias, workers, workers drain, serve, selftest"
    )
    assert {tuple(name.split()) for name in promised.split(", ")} <= COMMANDS.keys()


@each_command
def test_every_command_and_option_is_documented(path: Any) -> None:
    command = COMMANDS[path]
    assert "xample" in command.help, "an example that can be copied"
    assert f"caliper {' '.join(path)}" in command.help
    assert "xit code" in command.help + (command.epilog or "")
    for parameter in command.params:
        if parameter.name != "help":
            assert parameter.help, parameter.name


@each_command
def test_help_fits_eighty_columns(path: Any, caliper: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = caliper(*path, "--help")
    assert done.exit_code == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert re.findall(r"\S{20,}…", done.stdout) == [], "no word is cut off"


@each_command
def test_every_command_that_shows_something_takes_json(path: Any) -> None:
    assert any("--json" in parameter.opts for parameter in COMMANDS[path].params), path


@pytest.fixture
def every_answer(caliper: CommandLine, checkpoint_files: list[Path], tmp_path: Path) -> dict[str, Any]:
    """A service that answers everything, and the arguments by which each command asks it."""
    bars = tmp_path / "bars.csv"
    bars.write_bytes((Path(__file__).parents[2] / "examples" / "data" / "googl_1d.csv").read_bytes())
    report = {"job_name": "demo", "assets": []}
    page = {"next_cursor": None}
    done = job(last_event=3, result=RESULT, checkpoints=[CHECKPOINT])
    caliper.service.answers |= {
        "POST /jobs": job("queued"),
        "GET /jobs": {**page, "items": [done]},
        "GET /jobs/job_1": done,
        "GET /jobs/job_1/events": stream(*EVENTS),
        "GET /jobs/job_1/log": httpx.Response(200, text="first\nsecond\n"),
        "GET /jobs/job_1/evaluation": report,
        "GET /jobs/job_1/evaluation.html": httpx.Response(200, text="<!doctype html>"),
        "GET /jobs/job_1/evaluation.png": httpx.Response(200, content=b"a picture"),
        "POST /jobs/job_1/cancel": job("cancelled"),
        "POST /jobs/job_1/resume": job("queued"),
        "GET /checkpoints": {**page, "items": [CHECKPOINT]},
        "GET /checkpoints/checkpoint_1": CHECKPOINT,
        "GET /checkpoints/checkpoint_1/file": httpx.Response(200, stream=Piece(b"bytes")),
        "POST /checkpoints": CHECKPOINT,
        "PATCH /checkpoints/checkpoint_1": {**CHECKPOINT, "tags": ["daily", "a"]},
        "DELETE /checkpoints/checkpoint_1": httpx.Response(204),
        "GET /datasets": {**page, "items": [DATASET]},
        "GET /datasets/googl": DATASET,
        "POST /datasets": DATASET,
        "DELETE /datasets/dataset_1": httpx.Response(204),
        "GET /workers": [WORKER],
        "POST /workers/caliper@gpu-1/drain": {**WORKER, "state": "draining"},
        "GET /calibrations": {**page, "items": [CALIBRATION]},
        "GET /audit": {**page, "items": [AUDITED]},
    }
    files = [str(file) for file in checkpoint_files]
    return {
        "estimate": ("--hidden", "64"),
        "inspect": files[:1],
        "diff": files,
        "migrate": (),
        "train": ("--dataset", "googl", "--timesteps", "100", "--costs", COSTS),
        "workers": (),
        "workers drain": ["caliper@gpu-1"],
        "calibrations": (),
        "audit": (),
        "jobs list": (),
        **{f"jobs {verb}": ["job_1"] for verb in ("show", "watch", "log", "report", "cancel", "resume")},
        "jobs export": ("job_1", "--tensorboard", tmp_path / "runs"),
        "checkpoints list": (),
        "checkpoints show": ["checkpoint_1"],
        "checkpoints download": ("checkpoint_1", "--out", tmp_path / "x.pt"),
        "checkpoints upload": files[:1],
        "checkpoints tag": ("checkpoint_1", "a"),
        "checkpoints alias": ("checkpoint_1", "live"),
        "checkpoints delete": ("checkpoint_1", "--yes"),
        "datasets list": (),
        "datasets show": ["googl"],
        "datasets upload": (bars, "--calendar", "XNYS"),
        "datasets check": (bars, "--calendar", "XNYS"),
        "datasets delete": ("googl", "--yes"),
        "export": (files[0], "--format", "safetensors", "--output", tmp_path / "out.safetensors"),
    }


@each_command
def test_json_is_all_that_stands_on_stdout(
    path: Any,
    caliper: CommandLine,
    every_answer: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if path[0] in LONG:
        pytest.skip("it runs for long, and has a test of its own")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("CALIPER_DATABASE_URL", f"sqlite:///{tmp_path}/registry.db")
    monkeypatch.setenv("CALIPER_DATA_DIR", str(tmp_path))
    done = caliper(*path, *every_answer[" ".join(path)], "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)
    assert "\x1b" not in done.stdout


@each_command
def test_a_service_that_is_down_is_one_line_with_the_way_out(
    path: Any, caliper: CommandLine, every_answer: dict[str, Any]
) -> None:
    if path[0] in LONG or not any("--url" in parameter.opts for parameter in COMMANDS[path].params):
        pytest.skip("it asks no service, or only once it has measured for long")
    caliper.service.answers = dict.fromkeys(caliper.service.answers, httpx.ConnectError("refused"))
    done = caliper(*path, *every_answer[" ".join(path)])
    assert done.exit_code == 3
    assert done.stdout == ""
    error, hint = done.stderr.splitlines()[-2:]
    assert error.startswith("error: no service answers at http://caliper.test")
    assert hint.startswith("hint: start it with `caliper serve`")


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (("jbos",), "No such command 'jbos'", "Did you mean 'jobs'? `caliper --help`"),
        (("jobs", "lst"), "No such command 'lst'", "Did you mean 'list'? `caliper jobs --help`"),
        (("train", "--datset", "x"), "No such option: --datset", "Possible options: --dataset"),
        (("train",), "Missing option '--dataset'", "`caliper train --help`"),
        (("jobs", "list", "--limit", "many"), "Invalid value for '--limit'", "`caliper jobs list --help`"),
    ],
)
def test_wrong_usage_is_a_line_and_a_hint(
    caliper: CommandLine, arguments: Any, error: str, hint: str
) -> None:
    done = caliper(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    first, second = done.stderr.splitlines()
    assert first.startswith(f"error: {error}")
    assert second.startswith(f"hint: {hint}")


@pytest.mark.parametrize("noun", ["dataset", "job", "checkpoint"])
def test_nouns_may_be_singular(caliper: CommandLine, every_answer: dict[str, Any], noun: str) -> None:
    assert caliper(noun, "list").stdout == caliper(f"{noun}s", "list").stdout != ""


def test_what_cannot_be_undone_is_asked_or_said(caliper: CommandLine, every_answer: dict[str, Any]) -> None:
    for noun, name in (("checkpoints", "checkpoint_1"), ("datasets", "googl")):
        done = caliper(noun, "delete", name)
        assert done.exit_code == 1
        assert "say --yes" in done.stderr
    assert not any(asked.method == "DELETE" for asked in caliper.service.asked)


def test_a_person_is_asked_and_may_say_no(
    caliper: CommandLine, every_answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.cli.terminal.is_asked", lambda: True)
    assert caliper("datasets", "delete", "googl", input="n\n").exit_code == 1
    assert caliper.service.paths() == ["GET /datasets/googl"]
    assert caliper("datasets", "delete", "googl", input="y\n").exit_code == 0
    assert caliper.service.paths()[-1] == "DELETE /datasets/dataset_1"


def test_tags_and_aliases_are_added_and_taken_away(
    caliper: CommandLine, every_answer: dict[str, Any]
) -> None:
    caliper("checkpoints", "tag", "checkpoint_1", "a", "b", "--remove", "daily")
    caliper("checkpoints", "alias", "checkpoint_1", "best", "-r", "live")
    caliper("checkpoints", "tag", "checkpoint_1")
    caliper("checkpoints", "tag", "checkpoint_1", "daily")
    sent = [json.loads(asked.content) for asked in caliper.service.asked if asked.method == "PATCH"]
    assert sent == [{"tags": ["a", "b"]}, {"aliases": ["best"]}]


def test_help_joins_lines_and_leaves_examples_alone() -> None:
    assert (
        unwrap("One\ntwo.\n\nExample:\n  a b\n  c\n\nlast\nline")
        == "One two.\n\nExample:\n  a b\n  c\n\nlast line"
    )


def test_a_reader_that_stops_reading_is_no_error() -> None:
    program = "from app.cli import main; main()"
    shell = f'"{sys.executable}" -c "{program}" estimate --json | head -1; test "${{PIPESTATUS[0]}}" -lt 2'
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


def test_colours_are_for_terminals_unless_they_are_forced_or_refused(
    caliper: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    caliper.service.answers["GET /jobs"] = {"items": [job("running")], "next_cursor": None}
    cyan = "\x1b[36m"
    assert "\x1b" not in caliper("jobs", "list").stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert cyan in caliper("jobs", "list").stdout
    assert "\x1b" not in caliper("jobs", "list", "--json").stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert cyan not in caliper("jobs", "list").stdout


def test_a_defect_is_one_line_and_its_traceback_can_be_had() -> None:
    broken = "import app.cli.workers as w; w.connect = lambda _: 1 / 0; from app.cli import main; main()"
    command = [sys.executable, "-c", broken, "workers"]
    quiet, loud = (
        subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **extra}
        )
        for extra in ({}, {"CALIPER_TRACEBACK": "1"})
    )
    assert quiet.returncode == 1
    assert quiet.stderr.splitlines()[0] == "error: unexpected ZeroDivisionError: division by zero"
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in loud.stderr


@pytest.mark.parametrize("width", [36, 60, 80, 160])
def test_ids_and_numbers_are_whole_at_any_width(
    width: int, caliper: CommandLine, every_answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for noun, words in (
        ("jobs", ("job_1", "256,128,64")),
        ("checkpoints", ("checkpoint_1", "1,000")),
        ("datasets", ("dataset_1", "2,335")),
    ):
        text = caliper(noun, "list").stdout
        assert max(map(len, text.splitlines())) <= width
        assert [word for word in words if word not in text] == []


def test_a_list_is_a_table_in_eighty_columns_with_ids_as_the_service_makes_them(
    caliper: CommandLine, every_answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for noun in ("job", "checkpoint", "dataset"):
        page = caliper.service.answers[f"GET /{noun}s"]
        page["items"] = [{**page["items"][0], "id": f"{noun}_01a209d9eb45f2dbfcc7ff"}]
        header = caliper(f"{noun}s", "list").stdout.splitlines()[0].split()
        assert header[0] == noun
        assert len(header) >= 6
