"""One child process of the stack: started on a tether, its output in a log file, stopped with a grace."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from app.errors import Unavailable
from app.local import tether
from app.local.processes import Process, end, family, session, start_time
from app.local.services import Service
from app.logs import read_line
from app.settings import Settings

LOG_ROTATE_BYTES = 10 * 1024 * 1024
POLL_SECONDS = 0.05
TAIL_LINES = 20
BACKOFF_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
ORPHAN_SECONDS = 5.0
STEADY_SECONDS = 60.0
"""A child that ran this long is well: its next death is the first again."""


class Child:
    """A service's process. Not thread-safe; `start` and `stop` belong to one long-lived thread (tether.py)."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self.service = service
        self.log = settings.logs_dir / f"{service.name}.log"
        self._as_text = settings.log_format == "text"
        # A folder of ours: uvicorn, Celery and `python -m` import from where they are started.
        self._folder = settings.data_dir / "run"
        self._popen: subprocess.Popen[bytes] | None = None
        self._process: Process | None = None
        self._started = time.monotonic()
        self._deaths = 0
        self._retry_at = 0.0
        self._retired = False

    @property
    def process(self) -> Process | None:
        """The running process, as remembered for a later stack."""
        return self._process

    @property
    def exit_code(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs or before its start."""
        return self._popen.poll() if self._popen else None

    def start(self) -> None:
        """Start the process in a session of its own: a Ctrl-C at the terminal reaches only the stack."""
        rotate(self.log)
        command = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *self.service.command]
        with self.log.open("ab") as log:
            log.write(f"{self._first_line()}\n".encode())
            log.flush()
            self._popen = subprocess.Popen(  # noqa: S603 - commands come from services.py
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env={**os.environ, **self.service.environment},
                start_new_session=True,
            )
        self._started = time.monotonic()
        started = start_time(self._popen.pid)
        self._process = Process(self._popen.pid, started) if started else None

    def _first_line(self) -> str:
        """What parts this start's lines from those before, in their format."""
        event, moment = f"start of {self.service.name}", datetime.now(UTC).isoformat()
        if self._as_text:
            return f"--- {moment[:19]} {event}"
        return json.dumps({"event": event, "process": "stack", "level": "info", "timestamp": moment})

    def stop(self, in_hurry: Callable[[], bool]) -> None:
        """Ask it to end, wait its grace or until there is hurry, then kill it with all its descendants."""
        if self._popen is None:
            return
        # Noted before it is asked: once it is gone, its descendants have another parent.
        whole_family = family(self._popen.pid)
        self._popen.terminate()
        deadline = time.monotonic() + self.service.stop_seconds
        while self._popen.poll() is None and time.monotonic() < deadline and not in_hurry():
            time.sleep(POLL_SECONDS)
        self._popen.kill()
        self._popen.wait()
        end(whole_family, grace=0.0 if in_hurry() else ORPHAN_SECONDS)
        self.forget()

    def schedule_restart(self) -> float:
        """Note a death and return the seconds until the next try, longer with each death in a row.

        What it left in its session is ended first: two generations must not run side by side.
        """
        if self._popen is not None:
            end(session(self._popen.pid), grace=ORPHAN_SECONDS)
        self._deaths = 1 if time.monotonic() - self._started > STEADY_SECONDS else self._deaths + 1
        delay = BACKOFF_SECONDS[min(self._deaths, len(BACKOFF_SECONDS)) - 1]
        self._retry_at = time.monotonic() + delay
        self.forget()
        return delay

    def forget(self) -> None:
        """Let go of a process that has ended."""
        self._popen = self._process = None

    def retire(self) -> None:
        """Let go of a process that has ended for good."""
        self._retired = True
        self.forget()

    def restart_is_due(self) -> bool:
        """Whether it is dead and its wait is over."""
        return self._popen is None and not self._retired and time.monotonic() >= self._retry_at

    def failure(self, what: str) -> Unavailable:
        """The error that names the service, what happened, and the end of its log."""
        hint = f"the end of {self.log}:\n{tail(self.log)}"
        return Unavailable(f"{self.service.name} {what}", hint=hint, service=self.service.name)


def describe_exit(code: int) -> str:
    """An exit status in words."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit status {code}"


def tail(path: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log file, as people read them; at most the last 64 KiB are read."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 65_536))
        last = file.read().decode(errors="replace").splitlines()[-lines:]
    return "\n".join(read_line(line) for line in last)


def rotate(path: Path) -> None:
    """Move a log file aside once it has grown; the one before is dropped."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists() and path.stat().st_size > LOG_ROTATE_BYTES:
        path.replace(path.with_suffix(".log.1"))
