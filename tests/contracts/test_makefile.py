"""The Makefile and the CI script: what they would run, without running it."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()


def dry_run(folder: Path, *arguments: str, **variables: str) -> str:
    """What make would run in a folder that holds the Makefile and the files it looks at."""
    if shutil.which("make") is None:
        pytest.skip("this machine has no make")
    inherited = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL"}}
    done = subprocess.run(
        ["make", "-n", *arguments],
        cwd=folder,
        env={**inherited, **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-producers.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def installed(checkout: Path) -> Path:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / ".installed").touch()
    (checkout / ".venv" / "producers").mkdir()
    (checkout / ".venv" / "producers" / ".installed").touch()
    return checkout


@pytest.mark.parametrize(
    "target", ["demo", "serve", "test", "test-slow", "check", "docs", "install", "image-check"]
)
def test_a_fresh_checkout_installs_first(checkout: Path, target: str) -> None:
    plan = dry_run(checkout, target)
    assert "-m venv .venv" in plan
    assert "pip install -q -c requirements.lock -e '.[worker,local,dev]'" in plan
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("changed", ["pyproject.toml", "requirements.lock"])
def test_an_installed_checkout_installs_only_after_a_change(installed: Path, changed: str) -> None:
    assert "pip install" not in dry_run(installed, "test")
    later = (installed / ".venv" / ".installed").stat().st_mtime + 10
    os.utime(installed / changed, (later, later))
    assert "pip install" in dry_run(installed, "test")


@pytest.mark.parametrize("target", ["install", "test"])
def test_the_producers_of_checkpoints_are_installed_apart(installed: Path, target: str) -> None:
    into = "--no-deps --target .venv/producers -r requirements-producers.txt"
    assert into not in dry_run(installed, target)
    later = (installed / ".venv" / "producers" / ".installed").stat().st_mtime + 10
    os.utime(installed / "requirements-producers.txt", (later, later))
    plan = dry_run(installed, target)
    assert into in plan
    assert "-e '.[worker,local,dev]'" not in plan


@pytest.mark.parametrize("target", ["demo", "serve", "check", "docs"])
def test_what_users_start_does_not_wait_for_the_producers(checkout: Path, target: str) -> None:
    assert "producers" not in dry_run(checkout, target)


def test_each_target_runs_what_it_says(installed: Path) -> None:
    assert dry_run(installed, "demo").strip() == ".venv/bin/caliper demo"
    assert dry_run(installed, "serve").strip() == ".venv/bin/caliper serve"
    assert dry_run(installed, "test").strip().endswith(".venv/bin/python -m pytest -n 3 -m 'not slow'")
    assert dry_run(installed, "test-slow").strip().endswith(".venv/bin/python -m pytest -n 2 -m slow")
    assert "OMP_NUM_THREADS=1" in dry_run(installed, "test")
    assert "-n 7 " in dry_run(installed, "test", "JOBS=7")
    checks = dry_run(installed, "check").splitlines()
    programs = [line.removeprefix(".venv/bin/") for line in checks]
    assert programs == [
        "ruff format --check .",
        "ruff check .",
        "mypy",
        "lint-imports",
        "mkdocs build --strict --quiet",
        "python .ci/audit",
    ]
    assert dry_run(installed, "docs").startswith(".venv/bin/mkdocs serve --strict")


def test_a_python_that_is_too_old_or_absent_is_said(checkout: Path) -> None:
    done = subprocess.run(
        ["make", "install", "PYTHON="], cwd=checkout, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert "Python 3.11 or later is needed" in done.stdout
    assert not (checkout / ".venv").exists()


def test_clean_keeps_the_user_s_data(installed: Path) -> None:
    removed = {word for line in dry_run(installed, "clean").splitlines() for word in line.split()}
    assert ".venv" in removed
    assert ".caliper" not in removed


def test_every_target_is_phony_and_explained() -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", MAKEFILE))
    explained = set(re.findall(r"(?m)^([a-z-]+):.*## \S", MAKEFILE))
    phony = set(re.findall(r"(?m)^\.PHONY: (.*)$", MAKEFILE)[0].split())
    assert targets == explained == phony


def test_ci_runs_the_readme_s_test_command_and_every_check() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR
    steps = re.findall(r"(?m)^step (\d+) (.*)$", script.read_text())
    assert [command for _, command in steps] == [
        "make install",
        "make check",
        "make browser",
        "make test",
        "make test-slow",
        "make image-check",
    ]
    assert "set -euo pipefail" in script.read_text()
    assert "export CALIPER_BROWSER=required" in script.read_text()
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=30)


def test_ci_stops_at_the_first_failure_and_says_which(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    (tmp_path / "make").write_text('#!/bin/sh\necho "made $1"\ntest "$1" != check\n')
    (tmp_path / "make").chmod(0o755)
    done = subprocess.run(
        [tmp_path / ".ci" / "run"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "made install" in done.stdout
    assert "made test" not in done.stdout
    assert "FAILED: make check (exit status 1" in done.stderr
