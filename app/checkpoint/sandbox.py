"""Inspect an untrusted file in a child process with limits on memory and time: the second wall.

The reader itself runs nothing and has budgets. Should it have a flaw, the child dies and the API does not.
"""

import dataclasses
import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from app.checkpoint.inspect import DEFAULT_LIMITS
from app.checkpoint.limits import GIB, ReadLimits
from app.checkpoint.report import CheckpointReport
from app.errors import CaliperError, LimitExceeded, UnreadableCheckpoint
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


DEFAULT_SANDBOX = SandboxLimits()
"""The child's limits where nothing else is said."""


def inspect_in_child(
    path: Path,
    *,
    limits: ReadLimits = DEFAULT_LIMITS,
    sandbox: SandboxLimits = DEFAULT_SANDBOX,
    name: str = "",
    with_sha256: bool = True,
) -> CheckpointReport:
    """`inspect_checkpoint` in a child process; blocks until it answers.

    Raises what the inspection raises, LimitExceeded where the child passed its memory or time, and
    UnreadableCheckpoint where it died of anything else.
    """
    request = {
        "limits": dataclasses.asdict(limits),
        "name": name or path.name,
        "with_sha256": with_sha256,
        "max_memory_bytes": sandbox.max_memory_bytes,
        "max_cpu_seconds": sandbox.max_cpu_seconds,
    }
    command = [sys.executable, "-I", "-S", "-c", _START, str(_ROOT), json.dumps(request)]
    try:
        with path.open("rb") as file:
            done = subprocess.run(  # noqa: S603  # our own interpreter and code; the file is its standard input
                command,
                stdin=file,
                capture_output=True,
                timeout=sandbox.max_wall_seconds,
                check=False,
                env={},
            )
    except OSError as error:
        raise UnreadableCheckpoint(
            f"the file cannot be opened: {error.strerror or 'unknown reason'}"
        ) from None
    except subprocess.TimeoutExpired:
        most = sandbox.max_wall_seconds
        raise LimitExceeded("max_wall_seconds", limit=most, actual=most) from None
    return _report(done, sandbox)


def _report(done: "subprocess.CompletedProcess[bytes]", sandbox: SandboxLimits) -> CheckpointReport:
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        most = sandbox.max_cpu_seconds
        raise LimitExceeded("max_cpu_seconds", limit=most, actual=most)
    if b"MemoryError" in done.stderr[-4096:]:
        most = sandbox.max_memory_bytes
        raise LimitExceeded("max_memory_bytes", limit=most, actual=most)
    try:
        answer = json.loads(done.stdout) if done.returncode == 0 else {}
    except ValueError:
        answer = {}
    if "report" in answer:
        return CheckpointReport.from_plain(answer["report"])
    raise _error(answer, done.returncode)


def _error(answer: dict[str, Any], status: int) -> CaliperError:
    """The error that the child's answer stands for."""
    found = {"findings": answer["findings"]} if answer.get("findings") else {}
    if "limit" in answer:
        error = LimitExceeded(**answer["limit"])
        error.extra.update(found)
        return error
    if "error" in answer:
        return UnreadableCheckpoint(**answer["error"], **found)
    return UnreadableCheckpoint(
        f"the process that read the file ended without an answer (status {status})",
        hint="the file may be made to break readers",
    )
