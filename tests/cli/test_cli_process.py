"""`caliper` as a process: exit codes, streams, and how fast help comes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HEAVY = ("torch", "fastapi", "sqlalchemy", "celery", "polars", "pydantic", "numpy", "redis")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from app.cli import main; main()", *arguments]
    env = {name: value for name, value in os.environ.items() if not name.startswith("CALIPER_")} | environment
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False)


def test_help_names_every_command_and_the_exit_codes() -> None:
    done = run("--help")
    assert done.returncode == 0
    for name in (
        "estimate",
        "inspect",
        "diff",
        "serve",
        "demo",
        "train",
        "jobs",
        "checkpoints",
        "datasets",
        "workers",
        "migrate",
    ):
        assert f" {name} " in done.stdout
    assert "Exit codes: 0" in done.stdout


def test_help_loads_nothing_heavy() -> None:
    """What keeps `caliper --help` fast; a time would depend on the machine."""
    program = f"import sys, app.cli; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_no_arguments_show_the_help() -> None:
    assert "Usage:" in run().stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("estimate", "--hidden", "64"), 0),
        (("estimate", "--hidden", "0"), 1),
        (("workers", "--url", "http://127.0.0.1:1"), 3),
        (("nonsense",), 2),
        (("train",), 2),
    ],
)
def test_exit_codes(arguments: Any, code: Any) -> None:
    done = run(*arguments)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_errors_go_to_stderr_without_colours_when_piped() -> None:
    done = run("workers", "--url", "http://127.0.0.1:1")
    assert done.stdout == ""
    assert done.stderr.startswith("error: no service answers")
    assert "\x1b" not in done.stderr


def test_tables_leave_no_blanks_at_the_line_ends() -> None:
    done = run("estimate", "--hidden", "64", COLUMNS="100")
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) > 20
    assert [line for line in lines if len(line) > 100 or line != line.rstrip()] == []


def test_migrate_makes_the_tables(tmp_path: Path) -> None:
    done = run("migrate", CALIPER_DATA_DIR=str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "caliper.db").stat().st_size > 0
    assert "are up to date" in done.stderr
