"""Inspect an untrusted file in a child process with limits on memory and time: the second wall.

The reader itself runs nothing and has budgets. Should it have a flaw, the child dies and the API does not.
How a child's end is told apart: it says itself that memory was refused (RLIMIT_AS); SIGXCPU is its processor
time; our own kill is the wall time or too long an answer; any other SIGKILL comes from outside, on Linux most
often from the kernel when the machine has no memory left, and says nothing about the file.
"""

import dataclasses
import json
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from app.checkpoint.child import Ended, run_child
from app.checkpoint.inspect import DEFAULT_LIMITS
from app.checkpoint.lent_ranges import LentRanges
from app.checkpoint.limits import GIB, MIB, ReadLimits
from app.checkpoint.report import CheckpointReport
from app.checkpoint.source import RangeReader
from app.errors import CaliperError, LimitExceeded, Unavailable, UnreadableCheckpoint
from app.network.shape import DOCUMENTED

_ROOT = Path(__file__).resolve().parents[2]
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from app.checkpoint.__main__ import main; main(sys.argv[1:])"


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What the child process may use."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    max_memory_bytes: int = GIB
    """Address space of the child."""
    max_cpu_seconds: int = 30
    """Processor time of the child, hash included."""
    max_wall_seconds: float = 60.0
    """Time until the child is killed."""
    max_answer_bytes: int = 256 * MIB
    """What the child may answer."""


DEFAULT_SANDBOX = SandboxLimits()
"""The child's limits where nothing else is said."""


def inspect_in_child(
    path: Path | RangeReader,
    *,
    limits: ReadLimits = DEFAULT_LIMITS,
    sandbox: SandboxLimits = DEFAULT_SANDBOX,
    name: str = "",
    with_sha256: bool = True,
    with_statistics: bool = False,
) -> CheckpointReport:
    """`inspect_checkpoint` in a child process; blocks until it answers.

    Of a file by ranges the child is given what it asks for over a socket: it has no network.

    Raises what the inspection raises; LimitExceeded where the child passed its memory, processor time, wall
    time or answer; Unavailable where something outside killed it, such as the kernel for want of memory; and
    UnreadableCheckpoint where it crashed.
    """
    request = {
        "limits": dataclasses.asdict(limits),
        "name": name or path.name,
        "with_sha256": with_sha256,
        "with_statistics": with_statistics,
        "max_memory_bytes": sandbox.max_memory_bytes,
        "max_cpu_seconds": sandbox.max_cpu_seconds,
    }
    if isinstance(path, RangeReader):
        return _inspect_lent(path, request, sandbox)
    command = _command(request)
    if path.is_dir():
        raise UnreadableCheckpoint(
            "it is a folder", hint="a zip of a checkpoint's folder is read as one file"
        )
    try:
        file = path.open("rb")
    except OSError as error:
        raise UnreadableCheckpoint(
            f"the file cannot be opened: {error.strerror or 'unknown reason'}"
        ) from None
    try:
        with file:
            ended = run_child(
                command, file, seconds=sandbox.max_wall_seconds, max_output_bytes=sandbox.max_answer_bytes
            )
    except OSError as error:
        text = f"no process can be started to read the file: {error.strerror or 'unknown reason'}"
        raise Unavailable(text, hint="try again later") from None
    return _report(ended, sandbox)


def _command(request: dict[str, Any]) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", _START, str(_ROOT), json.dumps(request)]


def _inspect_lent(reader: RangeReader, request: dict[str, Any], sandbox: SandboxLimits) -> CheckpointReport:
    with LentRanges(reader) as lent:
        ended = run_child(
            _command({**request, "size": reader.size}),
            lent.theirs,
            seconds=sandbox.max_wall_seconds,
            max_output_bytes=sandbox.max_answer_bytes,
        )
    if lent.error is not None:
        raise lent.error
    return _report(ended, sandbox)


def _report(ended: Ended, sandbox: SandboxLimits) -> CheckpointReport:
    _raise_at_a_wall(ended, sandbox)
    try:
        answer = json.loads(ended.output) if ended.status == 0 else None
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise _died(ended)
    if "report" in answer:
        return CheckpointReport.from_plain(answer["report"])
    raise _error(answer)


def _raise_at_a_wall(ended: Ended, sandbox: SandboxLimits) -> None:
    """Raise what stands for the limit that ended the child, if one did."""
    if ended.timed_out:
        most = sandbox.max_wall_seconds
        raise LimitExceeded("max_wall_seconds", limit=most, actual=most)
    if ended.overflowed:
        limit = sandbox.max_answer_bytes
        raise LimitExceeded("max_answer_bytes", limit=limit, actual=len(ended.output))
    cpu = sandbox.max_cpu_seconds
    is_killed = ended.status == -signal.SIGKILL
    if ended.status == -signal.SIGXCPU or (is_killed and ended.cpu_seconds >= cpu):
        raise LimitExceeded("max_cpu_seconds", limit=cpu, actual=max(cpu, round(ended.cpu_seconds, 1)))
    if is_killed:
        raise Unavailable(
            "the process that read the file was killed from outside, which says nothing against the file",
            hint="the machine may be out of memory: try again later",
        )
    if b"MemoryError" in ended.errors[-4096:]:
        limit = sandbox.max_memory_bytes
        raise LimitExceeded("max_memory_bytes", limit=limit, actual=limit)


def _died(ended: Ended) -> UnreadableCheckpoint:
    """The error of a child that crashed: the signal by its name, else its status."""
    is_signal = ended.status < 0 and -ended.status in signal.valid_signals()
    how = signal.Signals(-ended.status).name if is_signal else f"status {ended.status}"
    return UnreadableCheckpoint(
        f"the process that read the file ended without an answer ({how})",
        hint="the file may be made to break readers",
    )


def _error(answer: dict[str, Any]) -> CaliperError:
    """The error that the child's answer stands for."""
    found = {"findings": answer["findings"]} if answer.get("findings") else {}
    if "limit" in answer:
        error = LimitExceeded(**answer["limit"])
        error.extra.update(found)
        return error
    return UnreadableCheckpoint(**answer["error"], **found)
