"""Who is alive, since when, and with which descendants: /proc on Linux, `ps` elsewhere."""

import os
import signal
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """One process; the start time tells it from a later one with the same pid."""

    pid: int
    """Process id."""
    started: str
    """When it started: clock ticks since boot on Linux, else what `ps` prints."""

    def is_alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return start_time(self.pid) == self.started


def start_time(pid: int) -> str | None:
    """When the process started; None where there is none or only a zombie."""
    row = _table([pid]).get(pid)
    return row[2] if row else None


def family(pid: int) -> list[Process]:
    """The process and all its descendants that are alive, parents before children."""
    table = _table()
    found = [pid] if pid in table else []
    for parent in found:  # grows while it is read
        found += [child for child, (ppid, _, _) in table.items() if ppid == parent and child not in found]
    return [Process(each, table[each][2]) for each in found]


def session(leader: int) -> list[Process]:
    """The processes of a session that are alive, found even after the leader's death."""
    return [Process(pid, started) for pid, (_, sid, started) in _table().items() if sid == leader]


def end(processes: Iterable[Process], grace: float) -> None:
    """Ask with SIGTERM, wait at most `grace` seconds, then SIGKILL what is left."""
    processes = list(processes)
    signal_all(processes, signal.SIGTERM)
    wait_gone(processes, grace)
    signal_all(processes, signal.SIGKILL)
    wait_gone(processes, 5.0)


def signal_all(processes: Iterable[Process], number: signal.Signals) -> None:
    """Send a signal to those that are still alive."""
    for process in processes:
        if process.is_alive():
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)


def wait_gone(processes: Iterable[Process], seconds: float) -> bool:
    """Whether all ended within the time."""
    deadline = time.monotonic() + seconds
    while any(process.is_alive() for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _table(pids: Iterable[int] | None = None) -> dict[int, tuple[int, int, str]]:
    """Parent, session and start time by pid, without zombies."""
    if not (PROC / "self" / "stat").exists():
        return _table_of_ps()
    if pids is None:
        pids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
    rows = {}
    for pid in pids:
        with suppress(OSError):  # it ended meanwhile
            # The command name stands in parentheses and may hold anything, so count from the last one.
            fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if fields[0] not in {"Z", "X"}:
                rows[pid] = (int(fields[1]), int(fields[3]), fields[19])
    return rows


def _table_of_ps() -> dict[int, tuple[int, int, str]]:
    command = ["ps", "-axo", "pid=,ppid=,pgid=,stat=,lstart="]  # macOS' ps shows no session; a group is close
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    rows = [line.split(maxsplit=4) for line in answer.splitlines()]
    return {int(pid): (int(ppid), int(group), at) for pid, ppid, group, state, at in rows if state[0] != "Z"}
