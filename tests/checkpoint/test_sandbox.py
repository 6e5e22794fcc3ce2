"""The child process: the same report, and a clear error when it passes its walls."""

import json
from pathlib import Path

import pytest

from app.checkpoint import sandbox
from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.limits import ReadLimits
from app.checkpoint.sandbox import SandboxLimits, inspect_in_child
from app.errors import LimitExceeded, Unavailable, UnreadableCheckpoint
from tests.attacks.builders import honest_zip


@pytest.fixture
def honest(tmp_path: Path) -> Path:
    path = tmp_path / "honest.pt"
    path.write_bytes(honest_zip())
    return path


def test_the_child_gives_the_same_report(honest: Path) -> None:
    assert inspect_in_child(honest) == inspect_checkpoint(honest)


def test_limits_and_name_reach_the_child(honest: Path) -> None:
    limits = ReadLimits(max_seconds=7)
    report = inspect_in_child(honest, limits=limits, name="mine", with_sha256=False)
    assert (report.limits, report.name, report.sha256) == (limits, "mine", None)


def test_errors_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "text.pt"
    path.write_text("hello")
    with pytest.raises(UnreadableCheckpoint, match="text file") as caught:
        inspect_in_child(path)
    assert "expected" in caught.value.hint


def test_a_limit_comes_back_with_its_numbers(honest: Path) -> None:
    with pytest.raises(LimitExceeded) as caught:
        inspect_in_child(honest, limits=ReadLimits(max_file_bytes=10))
    assert (caught.value.limit_name, caught.value.limit) == ("max_file_bytes", 10)


def test_a_missing_file_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCheckpoint, match="cannot be opened"):
        inspect_in_child(tmp_path / "none.pt")


@pytest.mark.parametrize(
    ("code", "walls", "limit"),
    [
        ("while True: pass", SandboxLimits(max_wall_seconds=0.3), "max_wall_seconds"),
        ("import os; os.kill(os.getpid(), 24)", SandboxLimits(), "max_cpu_seconds"),
        ("raise MemoryError", SandboxLimits(), "max_memory_bytes"),
        ("import sys; print('x' * 5000)", SandboxLimits(max_answer_bytes=4000), "max_answer_bytes"),
        (
            "import os, time; os.close(1); os.close(2); time.sleep(60)",
            SandboxLimits(max_wall_seconds=0.3),
            "max_wall_seconds",
        ),
    ],
)
def test_a_child_at_its_wall(
    honest: Path, monkeypatch: pytest.MonkeyPatch, code: str, walls: SandboxLimits, limit: str
) -> None:
    monkeypatch.setattr(sandbox, "_START", code)
    with pytest.raises(LimitExceeded) as caught:
        inspect_in_child(honest, sandbox=walls)
    assert caught.value.limit_name == limit


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("import os; os.abort()", "SIGABRT"),
        ("import os; os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("print('no json')", "status 0"),
        ("print('[]')", "status 0"),
        ("raise SystemExit(3)", "status 3"),
    ],
)
def test_a_child_that_dies_is_a_clear_error(
    honest: Path, monkeypatch: pytest.MonkeyPatch, code: str, how: str
) -> None:
    monkeypatch.setattr(sandbox, "_START", code)
    with pytest.raises(UnreadableCheckpoint, match="without an answer") as caught:
        inspect_in_child(honest)
    assert how in caught.value.detail


def test_a_kill_from_outside_is_no_fault_of_the_file(honest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's SIGKILL for want of memory is neither a limit that was passed nor a bad file."""
    monkeypatch.setattr(sandbox, "_START", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(Unavailable, match="killed from outside") as caught:
        inspect_in_child(honest)
    assert "memory" in caught.value.hint


def test_processor_time_that_is_really_used_up(honest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fenced = "import sys; sys.path.insert(0, sys.argv.pop(1)); from app.checkpoint import __main__ as m; "
    spin = fenced + "m._fence(1 << 30, 1)\nwhile True: pass"
    monkeypatch.setattr(sandbox, "_START", spin)
    with pytest.raises(LimitExceeded) as caught:
        inspect_in_child(honest, sandbox=SandboxLimits(max_cpu_seconds=1))
    assert (caught.value.limit_name, caught.value.limit) == ("max_cpu_seconds", 1)


def test_memory_that_is_really_used_up(tmp_path: Path) -> None:
    """A string of 15 MiB within the reader's own limits, in a child that may not hold it."""
    path = tmp_path / "large.pkl"
    path.write_bytes(b"\x80\x04}" + b"\x8d" + (15 << 20).to_bytes(8, "little") + b"x" * (15 << 20) + b"0.")
    assert inspect_in_child(path).complete
    with pytest.raises(LimitExceeded) as caught:
        inspect_in_child(path, sandbox=SandboxLimits(max_memory_bytes=30 << 20))
    assert caught.value.limit_name == "max_memory_bytes"


def test_a_child_starts_no_process_and_writes_no_file(honest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = "[r.getrlimit(k) for k in (r.RLIMIT_NPROC, r.RLIMIT_FSIZE, r.RLIMIT_CORE)]"
    spy = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import json, resource as r; "
        f"from app.checkpoint import __main__ as m; m._answer = lambda f, q: {{'error': {{'detail': json.dumps({limits}), "
        "'hint': '', 'pointer': ''}}; m.main(sys.argv[1:])"
    )
    monkeypatch.setattr(sandbox, "_START", spy)
    with pytest.raises(UnreadableCheckpoint) as caught:
        inspect_in_child(honest)
    assert json.loads(caught.value.detail) == [[0, 0]] * 3


def test_the_child_is_fenced_in(honest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The walls stand before the file is read: seen from inside."""
    spy = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import json, resource as r; "
        "from app.checkpoint import __main__ as m; "
        "m._answer = lambda f, q: {'error': {'detail': json.dumps([r.getrlimit(r.RLIMIT_AS)[0], "
        "r.getrlimit(r.RLIMIT_CPU)[0], r.getrlimit(r.RLIMIT_FSIZE)[0]]), 'hint': '', 'pointer': ''}}; "
        "m.main(sys.argv[1:])"
    )
    monkeypatch.setattr(sandbox, "_START", spy)
    with pytest.raises(UnreadableCheckpoint) as caught:
        inspect_in_child(honest, sandbox=SandboxLimits(max_memory_bytes=1 << 28, max_cpu_seconds=9))
    assert json.loads(caught.value.detail) == [1 << 28, 9, 0]


def test_a_machine_that_cannot_start_a_process_is_unavailable(
    honest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox.sys, "executable", str(honest.parent / "no-python"))
    with pytest.raises(Unavailable, match="no process can be started"):
        inspect_in_child(honest)


def test_a_child_that_ended_before_it_is_killed_is_still_told(
    honest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says too much and is gone at once: killing it must not lose how it ended."""
    monkeypatch.setattr(sandbox, "_START", "import os; os.write(1, b'x' * 5000); os._exit(0)")
    for _ in range(10):
        with pytest.raises(LimitExceeded) as caught:
            inspect_in_child(honest, sandbox=SandboxLimits(max_answer_bytes=4000))
        assert caught.value.limit_name == "max_answer_bytes"
