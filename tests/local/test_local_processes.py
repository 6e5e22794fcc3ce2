"""Who is alive, since when, and with which descendants."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from app.local import processes
from app.local.processes import Process, end, family, session, start_time

PARENT_OF_ONE = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(120)"])
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture
def parent_of_one() -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-I", "-S", "-c", PARENT_OF_ONE]
    popen = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert popen.stdout
    yield popen, int(popen.stdout.readline())
    with contextlib.suppress(ProcessLookupError):
        os.killpg(popen.pid, signal.SIGKILL)
    popen.stdout.close()
    popen.wait()


def test_this_process_is_alive_and_an_earlier_one_of_its_pid_is_not() -> None:
    started = start_time(os.getpid())
    assert started is not None
    assert Process(os.getpid(), started).is_alive()
    assert not Process(os.getpid(), started + "0").is_alive()


def test_a_zombie_is_not_alive() -> None:
    popen = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
    os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOWAIT)  # ended, but not reaped
    assert start_time(popen.pid) is None
    assert family(popen.pid) == []
    popen.wait()
    assert start_time(popen.pid) is None


def test_a_family_is_listed_parents_first(parent_of_one: tuple[subprocess.Popen[str], int]) -> None:
    popen, child = parent_of_one
    assert [process.pid for process in family(popen.pid)] == [popen.pid, child]


def test_a_session_outlives_its_leader(parent_of_one: tuple[subprocess.Popen[str], int]) -> None:
    popen, child = parent_of_one
    popen.kill()
    popen.wait()
    assert family(popen.pid) == []
    assert [process.pid for process in session(popen.pid)] == [child]


def test_end_kills_what_ignores_sigterm() -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(120)"
    popen = subprocess.Popen([sys.executable, "-I", "-S", "-c", code], stdout=subprocess.PIPE)
    assert popen.stdout
    popen.stdout.readline()
    end(family(popen.pid), grace=0.1)
    assert popen.wait() == -signal.SIGKILL
    popen.stdout.close()


def test_ps_tells_the_same_as_proc(
    parent_of_one: tuple[subprocess.Popen[str], int], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    """The way of macOS, run here with the fields that Linux' ps prints under the same names."""
    popen, child = parent_of_one
    monkeypatch.setattr(processes, "PROC", tmp_path)
    try:
        found = family(popen.pid)
    except FileNotFoundError:
        pytest.skip("this machine has no ps")
    assert [process.pid for process in found] == [popen.pid, child]
    assert all(process.is_alive() for process in found)
    assert {process.pid for process in session(popen.pid)} == {popen.pid, child}
