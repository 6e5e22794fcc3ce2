"""Run a child process to its end: how long it may take and how much it may say is bounded, and why it ended is told."""

import os
import selectors
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import IO, BinaryIO

_BLOCK = 1 << 16
_MOST_ERRORS = 1 << 16


@dataclass(frozen=True, slots=True)
class Ended:
    """What a child left behind."""

    status: int
    """Exit status; the negative number of the signal that killed it."""
    output: bytes
    """Its standard output, as far as it was read."""
    errors: bytes
    """The start of its standard error."""
    cpu_seconds: float
    """Processor time that it used."""
    timed_out: bool
    """Whether it was killed here as its time was up."""
    overflowed: bool
    """Whether it was killed here as it said too much."""


def run_child(
    command: list[str], stdin: BinaryIO | socket.socket, *, seconds: float, max_output_bytes: int
) -> Ended:
    """Run a command with a file, or a socket, as standard input and no environment; it is always dead and reaped on return."""
    process = subprocess.Popen(  # noqa: S603  # our own interpreter and code
        command,
        stdin=stdin.fileno(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={},
        start_new_session=True,
    )
    said: dict[str, bytearray] = {"output": bytearray(), "errors": bytearray()}
    finished = False
    try:
        finished = _listen(process, said, time.monotonic() + seconds, max_output_bytes)
    finally:
        if not finished:
            # Not process.kill(): that polls first, and would reap a child that has just ended before its usage is asked.
            os.kill(process.pid, signal.SIGKILL)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        _, wait_status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(wait_status)
    overflowed = len(said["output"]) > max_output_bytes
    return Ended(
        status=process.returncode,
        output=bytes(said["output"]),
        errors=bytes(said["errors"]),
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        timed_out=not finished and not overflowed,
        overflowed=overflowed,
    )


def _listen(
    process: "subprocess.Popen[bytes]", said: dict[str, bytearray], deadline: float, most: int
) -> bool:
    """Read what the child says until it closes both pipes; False where it has to be killed."""
    with selectors.DefaultSelector() as selector:
        for name, pipe in (("output", process.stdout), ("errors", process.stderr)):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, name)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready and time.monotonic() >= deadline:
                return False
            for key, _ in ready:
                if not _take(key.fileobj, said[key.data]):  # type: ignore[arg-type]
                    selector.unregister(key.fileobj)
            if len(said["output"]) > most:
                return False
            del said["errors"][_MOST_ERRORS:]
    return _ends_by(process, deadline)


def _take(pipe: IO[bytes], into: bytearray) -> bool:
    data = os.read(pipe.fileno(), _BLOCK)
    into += data
    return bool(data)


def _ends_by(process: "subprocess.Popen[bytes]", deadline: float) -> bool:
    """Wait without reaping, so that the usage can still be asked for; False where the time is up."""
    pause = 0.001
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
    return True
