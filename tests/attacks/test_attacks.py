"""Every hostile file: nothing runs, the answer comes within 2 s and 256 MiB, the verdict is right.

Each is read once, by the code of the sandbox's child behind its own fence (walled.py), under an audit hook; a few of
each way to end are read again through `inspect_in_child`, which starts an interpreter for each.
"""

import io
import json
import os
import signal
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
WALLS = (256 << 20, 2)
"""Address space and seconds of processor time that a child may use."""
HARMLESS = frozenset({"open 0", "resource.setrlimit"})
"""Audit events of a reading: its fence, and its standard input; nothing else is opened, imported or run."""
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


def walled(folder: Path, *, script: Path = ROOT / "tests/attacks/walled.py") -> dict[str, Any]:
    """What the sandbox's child says of each of the folder's files, with 256 MiB and 2 s of processor time."""
    (folder / "work").mkdir()
    (folder / "honest").mkdir()
    (folder / "honest" / "one.pt").write_bytes(honest_zip())
    command = [sys.executable, "-I", "-S", str(script), str(ROOT), str(folder / "files"), *map(str, WALLS)]
    command.append(str(folder / "honest"))
    done = subprocess.run(command, cwd=folder / "work", capture_output=True, check=True, timeout=200)
    assert list((folder / "work").iterdir()) == [], "a payload ran"
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="session")
def verdicts(tmp_path_factory: Any) -> dict[str, Any]:
    """What the child says of every attack."""
    folder = tmp_path_factory.mktemp("attacks")
    (folder / "files").mkdir()
    for attack in ATTACKS:
        (folder / "files" / f"{attack.name}.pt").write_bytes(attack.build())
    return walled(folder)


def findings_of(answer: dict[str, Any]) -> list[list[str]]:
    found = answer["report"]["findings"] if "report" in answer else answer["findings"] or []
    return [[finding["code"], finding["severity"]] for finding in found]


def error_of(answer: dict[str, Any]) -> str | None:
    return None if "report" in answer else "limit_exceeded" if "limit" in answer else "unreadable_checkpoint"


@pytest.mark.parametrize("name", BY_NAME)
def test_verdict_of_the_child(name: str, verdicts: dict[str, Any]) -> None:
    attack, got = BY_NAME[name], verdicts[name]
    answer = got["answer"]
    assert answer is not None, f"no answer, status {got['status']}, {got['cpu_seconds']} s"
    assert got["status"] == 0
    assert answer.get("limit", {}).get("name") != "max_memory_bytes", (
        "it is the reader that stops, not the wall"
    )
    assert set(got["events"]) <= HARMLESS
    found = dict(reversed(findings_of(answer)))
    if attack.expect == "ok":
        assert error_of(answer) is None
        assert answer["report"]["complete"]
        assert not {"medium", "high"} & set(found.values()), found
    elif attack.expect in ERRORS:
        assert error_of(answer) == attack.expect or found.get(attack.expect) == "high", found
    else:
        assert found.get(attack.expect) == ("medium" if _is_medium(attack) else "high"), found
    listed = answer["report"]["findings"] if "report" in answer else []
    assert all(finding["explanation"].isprintable() for finding in listed)


def _is_medium(attack: Attack) -> bool:
    return attack.expect in MEDIUM and attack.name != "bytes_after_the_end"


@pytest.mark.parametrize(
    "name",
    ["reduce_os_system", "hash_doubling", "declared_larger", "torn_zip", "long_number", "sb3_data_entry"],
)
def test_a_child_of_its_own_interpreter_says_the_same(
    name: str, verdicts: dict[str, Any], tmp_path: Any
) -> None:
    path = tmp_path / "hostile.pt"
    path.write_bytes(BY_NAME[name].build())
    walls = SandboxLimits(max_memory_bytes=WALLS[0], max_cpu_seconds=WALLS[1])
    error, found = _told(lambda: inspect_in_child(path, sandbox=walls))
    assert error == error_of(verdicts[name]["answer"])
    assert found == findings_of(verdicts[name]["answer"])


def _told(inspect: Any) -> tuple[str | None, list[list[str]]]:
    try:
        return None, [[f.code, f.severity] for f in inspect().findings]
    except CaliperError as error:
        return error.code, [[f["code"], f["severity"]] for f in error.extra.get("findings", [])]


def test_every_attack_says_what_it_reproduces() -> None:
    assert all(attack.build.__doc__ for attack in ATTACKS)
    assert len(BY_NAME) == len(ATTACKS) >= 300
    assert len(FAMILIES) == 8


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


@pytest.mark.parametrize(
    ("instead", "why"),
    [
        ("status = bytearray(300 << 20)", "MemoryError"),
        ("status = sum(1 for _ in iter(int, 1))", "SIGXCPU"),
        ("status = exec('1')", "exec"),
        ("status = open('/dev/null').close()", "open"),
    ],
)
def test_the_walls_stand(instead: str, why: str, tmp_path: Any) -> None:
    """The harness does tell of a reader that takes too much, or that runs or opens something."""
    fenced = "from app.checkpoint.__main__ import _fence; _fence(256 << 20, 1); "
    script = (ROOT / "tests/attacks/walled.py").read_text()
    bad = script.replace("status = main([asked])", f"{fenced}{instead}; status = 0")
    assert bad != script
    (tmp_path / "bad.py").write_text(bad)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "one.pt").write_bytes(b"x")
    got = walled(tmp_path, script=tmp_path / "bad.py")["one"]
    if why in ("exec", "open"):
        assert any(event.startswith(why) for event in got["events"])
    else:
        assert (got["answer"], got["status"]) == (None, -signal.SIGXCPU if why == "SIGXCPU" else 1)


def test_what_the_slowest_attack_takes(verdicts: dict[str, Any], record_property: Any) -> None:
    """Told with `-rA` or in a JUnit file; the limits themselves are the child's walls."""
    name = max(verdicts, key=lambda each: verdicts[each]["wall_seconds"])
    hungry = max(verdicts, key=lambda each: verdicts[each]["peak_mib"])
    for key, value in (("slowest", name), ("largest", hungry)):
        record_property(key, value)
        sys.stdout.write(
            f"{key}: {value}, {verdicts[value]['wall_seconds']} s, {verdicts[value]['peak_mib']} MiB\n"
        )
    assert len(verdicts) == len(ATTACKS)
