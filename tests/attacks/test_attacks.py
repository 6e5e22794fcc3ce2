"""Every hostile file: nothing runs, the answer comes, the verdict is right; in process and in the child."""

import io
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.report import CheckpointReport
from app.checkpoint.sandbox import SandboxLimits, inspect_in_child
from app.errors import CaliperError
from tests.attacks import hostile_archives, hostile_bombs, hostile_calls
from tests.attacks.builders import ATTACKS, CANARY, Attack, honest_zip

FAMILIES = (hostile_archives, hostile_bombs, hostile_calls)


@pytest.fixture(autouse=True)
def no_canary(tmp_path: Any, monkeypatch: Any) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(CANARY)]
    assert CANARY not in os.environ


def verdict(inspect: Any) -> tuple[set[str], CheckpointReport | None]:
    try:
        report = inspect()
    except CaliperError as error:
        return {error.code, *(found["code"] for found in error.extra.get("findings", []))}, None
    return {finding.code for finding in report.findings}, report


def check(attack: Attack, codes: set[str], report: CheckpointReport | None) -> None:
    if attack.expect == "ok":
        assert report is not None
        assert report.complete
        assert not report.suspicious, report.findings
    else:
        assert attack.expect in codes
    if report is not None:
        json.dumps(report.plain(), allow_nan=False)
        assert all(finding.explanation.isprintable() for finding in report.findings)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_verdict(attack: Any) -> None:
    data = attack.build()
    check(attack, *verdict(lambda: inspect_checkpoint(io.BytesIO(data))))


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_child_gives_the_same_verdict_within_its_memory(attack: Any, tmp_path: Any) -> None:
    path = tmp_path / "hostile.pt"
    path.write_bytes(attack.build())
    walls = SandboxLimits(max_memory_bytes=700 << 20)
    check(attack, *verdict(lambda: inspect_in_child(path, sandbox=walls)))


@pytest.mark.parametrize(
    "attack", [a for a in ATTACKS if a.expect.startswith("would_")], ids=lambda a: a.name
)
def test_whatever_runs_is_of_high_severity(attack: Any) -> None:
    _, report = verdict(lambda: inspect_checkpoint(io.BytesIO(attack.build())))
    assert report is not None
    assert any(f.code == attack.expect and f.severity == "high" for f in report.findings)


def test_every_attack_says_what_it_reproduces() -> None:
    assert all(attack.build.__doc__ for attack in ATTACKS)
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 80


def test_the_builders_honest_file_is_unflagged() -> None:
    report = inspect_checkpoint(io.BytesIO(honest_zip()))
    assert report.findings == ()
    assert report.parameters == 4


def test_the_canary_works(tmp_path: Any) -> None:
    """The payload does leave its trace where it is really run: the tests above could fail."""
    import subprocess
    import sys

    (tmp_path / "evil.pkl").write_bytes(hostile_calls.bare_pickle_system())
    code = "import pickle; pickle.load(open('evil.pkl', 'rb'))"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    left = [path for path in tmp_path.iterdir() if path.name.startswith(CANARY)]
    assert left
    for name in left:
        name.unlink()
