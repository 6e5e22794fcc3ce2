"""Every hostile file: nothing runs, the answer comes within 2 s and 256 MiB, the verdict is right."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.sandbox import SandboxLimits, inspect_in_child
from app.errors import CaliperError
from tests.attacks import hostile_calls
from tests.attacks.builders import ATTACKS, CANARY, Attack, honest_zip
from tests.attacks.every_attack import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
BY_NAME = {attack.name: attack for attack in ATTACKS}

MEDIUM = frozenset(
    {
        "persistent_id", "malformed_call", "out_of_band_buffer", "unused_record", "hidden_bytes", "odd_name",
        "expanded_tensor", "unhashable_key", "extra_pickle", "extra_member", "backward_hooks", "trailing_data",
        "damaged",
    }
)  # fmt: skip
"""Findings that are odd rather than dangerous; everything else that is expected must be of high severity."""
ERRORS = frozenset({"unreadable_checkpoint", "limit_exceeded"})


@pytest.fixture(autouse=True)
def no_canary(tmp_path: Any, monkeypatch: Any) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(CANARY)]
    assert CANARY not in os.environ


@pytest.fixture(scope="session")
def verdicts(tmp_path_factory: Any) -> dict[str, Any]:
    """The verdict on every attack, each read in a forked process of 256 MiB and 2 s of processor time."""
    folder = tmp_path_factory.mktemp("attacks")
    (folder / "files").mkdir()
    (folder / "work").mkdir()
    for attack in ATTACKS:
        (folder / "files" / f"{attack.name}.pt").write_bytes(attack.build())
    command = [
        sys.executable,
        "-I",
        "-S",
        str(ROOT / "tests/attacks/walled.py"),
        str(ROOT),
        str(folder / "files"),
    ]
    done = subprocess.run(command, cwd=folder / "work", capture_output=True, check=True, timeout=200)
    assert list((folder / "work").iterdir()) == [], "a payload ran"
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("name", BY_NAME)
def test_verdict_behind_the_walls(name: str, verdicts: dict[str, Any]) -> None:
    attack, got = BY_NAME[name], verdicts[name]
    found = dict(reversed(got["findings"]))
    if attack.expect == "ok":
        assert got["error"] is None
        assert got["complete"]
        assert not {"medium", "high"} & set(found.values()), found
    elif attack.expect in ERRORS:
        assert got["error"] == attack.expect or found.get(attack.expect) == "high", got
    else:
        assert found.get(attack.expect) == ("medium" if _is_medium(attack) else "high"), got
    assert got.get("printable", True)


def _is_medium(attack: Attack) -> bool:
    return attack.expect in MEDIUM and attack.name != "bytes_after_the_end"


@pytest.mark.parametrize(
    "name",
    ["reduce_os_system", "hash_doubling", "declared_larger", "torn_zip", "long_number", "sb3_data_entry"],
)
def test_the_real_child_says_the_same(name: str, verdicts: dict[str, Any], tmp_path: Any) -> None:
    path = tmp_path / "hostile.pt"
    path.write_bytes(BY_NAME[name].build())
    walls = SandboxLimits(max_memory_bytes=256 << 20, max_cpu_seconds=2)
    error, found = _told(lambda: inspect_in_child(path, sandbox=walls))
    assert error == verdicts[name]["error"]
    assert found == verdicts[name]["findings"]


def _told(inspect: Any) -> tuple[str | None, list[list[str]]]:
    try:
        return None, [[f.code, f.severity] for f in inspect().findings]
    except CaliperError as error:
        return error.code, [[f["code"], f["severity"]] for f in error.extra.get("findings", [])]


def test_every_attack_says_what_it_reproduces() -> None:
    assert all(attack.build.__doc__ for attack in ATTACKS)
    assert len(BY_NAME) == len(ATTACKS) >= 300
    assert len(FAMILIES) == 7


def test_the_builders_honest_file_is_unflagged() -> None:
    report = inspect_checkpoint(io.BytesIO(honest_zip()))
    assert report.findings == ()
    assert report.parameters == 4


def test_the_canary_works(tmp_path: Any) -> None:
    """The payload does leave its trace where it is really run: the tests above could fail."""
    (tmp_path / "evil.pkl").write_bytes(hostile_calls.bare_pickle_system())
    code = "import pickle; pickle.load(open('evil.pkl', 'rb'))"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    left = [path for path in tmp_path.iterdir() if path.name.startswith(CANARY)]
    assert left
    for name in left:
        name.unlink()


def test_the_walls_stand(tmp_path: Any) -> None:
    """The harness does report a reader that takes too much: a file of 300 MB that is read whole would."""
    script = (ROOT / "tests/attacks/walled.py").read_text()
    hungry = script.replace("report = inspect_checkpoint(path)", "report = bytearray(300 << 20)")
    assert hungry != script
    (tmp_path / "hungry.py").write_text(hungry)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "one.pt").write_bytes(b"x")
    command = [sys.executable, str(tmp_path / "hungry.py"), str(ROOT), str(tmp_path / "files")]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert "no answer" in json.loads(done.stdout)["one"]["error"]
