"""`caliper keys`, `caliper audit`, --api-key: on a real registry and a real service."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from keyed_service import Keyed, keyed_service

from app.registry.database import Database
from app.settings import Settings

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The installed command in an environment of its own."""

    def command(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CALIPER_")}
        return subprocess.run(
            [str(Path(sys.executable).with_name("caliper")), *words],
            env={**kept, "CALIPER_DATA_DIR": str(tmp_path / "own"), "COLUMNS": "200", **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return command


def test_the_first_key_is_made_listed_and_revoked_on_a_registry_that_was_not_there(run: Run) -> None:
    made = run("keys", "create", "anna", "--role", "trainer", "--days", "30", "--open-jobs", "2")
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    assert key.startswith("caliper_")
    assert key not in made.stderr
    assert "shown this once" in made.stderr
    (row,) = json.loads(run("keys", "list", "--json").stdout)
    assert (row["name"], row["role"], row["max_open_jobs"]) == ("anna", "trainer", 2)
    assert "sha256" not in row
    listed = run("keys", "list")
    assert row["prefix"] in listed.stdout
    assert "valid" in listed.stdout
    assert key not in listed.stdout
    assert run("keys", "revoke", row["prefix"]).returncode == 0
    assert "revoked" in run("keys", "list").stdout


def test_what_cannot_be_is_said(run: Run) -> None:
    wrong = run("keys", "create", "x", "--role", "root")
    assert wrong.returncode == 1
    assert "reader, trainer, admin" in wrong.stderr
    missing = run("keys", "revoke", "key_nobody")
    assert missing.returncode == 1
    assert "there is no key" in missing.stderr


def test_serve_does_not_open_the_service_to_others_without_keys(run: Run) -> None:
    refused = run("serve", "--host", "0.0.0.0")
    assert refused.returncode == 1
    assert "caliper keys create" in refused.stderr
    assert "CALIPER_REQUIRE_KEYS=true" in refused.stderr


@pytest.fixture
def keyed(settings: Settings, registry: Database) -> Iterator[Keyed]:
    with keyed_service(settings) as started:
        yield started


def test_a_key_comes_by_environment_or_option(run: Run, keyed: Keyed) -> None:
    url = keyed.service.url
    refused = run("jobs", "list", "--url", url)
    assert refused.returncode == 1
    assert "Authorization" in refused.stderr
    key = keyed.keys["admin"]
    assert run("jobs", "list", "--url", url, CALIPER_API_KEY=key).returncode == 0
    assert run("workers", "--url", url, "--api-key", key).returncode == 0
    named = run("jobs", "list", "--url", url, "--api-key", key, CALIPER_API_KEY="caliper_wrong")
    assert named.returncode == 0
    run("jobs", "cancel", "job_nothing", "--url", url, "--api-key", key)
    audit = json.loads(run("audit", "--json", "--url", url, CALIPER_API_KEY=key).stdout)
    assert [(entry["target"], entry["outcome"]) for entry in audit][:1] == [("job_nothing", "rejected")]
    shown = run("audit", "--url", url, CALIPER_API_KEY=key)
    assert "rejected 404" in shown.stdout
    assert key not in shown.stdout + shown.stderr


def test_every_command_that_asks_a_service_takes_a_key(run: Run) -> None:
    for words in (["jobs", "list"], ["train"], ["checkpoints", "upload"], ["audit"]):
        shown = run(*words, "--help").stdout
        assert "--api-key" in shown, words
        assert "CALIPER_API_KEY" in shown
    assert "--api-key" not in run("keys", "create", "--help").stdout
