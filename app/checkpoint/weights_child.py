"""Compare the weights of two files in a child process, which alone loads numpy and has limits of its own."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from app.checkpoint.report import CheckpointReport
from app.checkpoint.weights_diff import WeightsDiff, pair_tensors
from app.errors import LimitExceeded, UnreadableCheckpoint
from app.network.shape import DOCUMENTED

_ROOT = Path(__file__).resolve().parents[2]
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from app.weights.__main__ import main; main()"
_GIB = 1 << 30
_PATIENCE_SECONDS = 0.2
# One thread: a sum has the same last digits each time, and idle threads would reserve address space.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class WeightsLimits:
    """What the child process may use."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    max_memory_bytes: int = _GIB
    """Address space of the child, its libraries included; what it holds of the weights is a few MiB."""
    max_cpu_seconds: int = 1_800
    """Processor time of the child."""
    max_wall_seconds: float = 3_600.0
    """Time until the child is killed."""


DEFAULT_WEIGHTS_LIMITS = WeightsLimits()
"""The child's limits where nothing else is said."""


def compare_weights(
    left: Path,
    right: Path,
    reports: tuple[CheckpointReport, CheckpointReport],
    limits: WeightsLimits = DEFAULT_WEIGHTS_LIMITS,
    while_waiting: Callable[[], None] = lambda: None,
) -> WeightsDiff:
    """Hold the weights of two inspected files against each other; blocks until the child answers.

    `while_waiting` is called a few times a second until then; whatever it raises ends the child at once.
    Raises UnreadableCheckpoint where a container's values cannot be read, LimitExceeded where the child passed
    its memory or time.
    """
    pairs, skipped = pair_tensors(*reports)
    request = {
        "files": [{"format": report.format, "tensors": _sizes(report)} for report in reports],
        "names": [report.name for report in reports],
        "pairs": [dataclasses.asdict(pair) for pair in pairs],
        "skipped": [dataclasses.asdict(entry) for entry in skipped],
        "parent": os.getpid(),
        "max_memory_bytes": limits.max_memory_bytes,
        "max_cpu_seconds": limits.max_cpu_seconds,
    }
    encoded = json.dumps(request).encode()
    return _answer(_run((left, right), encoded, limits, while_waiting), limits)


def _sizes(report: CheckpointReport) -> dict[str, str]:
    """The type of each storage's values: the legacy stream's records do not say how long they are in bytes."""
    return {tensor.storage: tensor.dtype for tensor in report.tensors if tensor.storage}


def _run(
    paths: tuple[Path, Path], request: bytes, limits: WeightsLimits, while_waiting: Callable[[], None]
) -> "subprocess.CompletedProcess[bytes]":
    try:
        with paths[0].open("rb") as left, paths[1].open("rb") as right:
            descriptors = (left.fileno(), right.fileno())
            command = [sys.executable, "-I", "-c", _START, str(_ROOT), *map(str, descriptors)]
            with subprocess.Popen(  # noqa: S603  # our own interpreter and code; the files are open descriptors
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_ENVIRONMENT,
                pass_fds=descriptors,
                start_new_session=True,  # Ctrl-C is for whoever waits, who then kills the child
            ) as child:
                return _await(child, request, limits, while_waiting)
    except OSError as error:
        raise UnreadableCheckpoint(
            f"the file cannot be opened: {error.strerror or 'unknown reason'}"
        ) from None


def _await(
    child: "subprocess.Popen[bytes]",
    request: bytes,
    limits: WeightsLimits,
    while_waiting: Callable[[], None],
) -> "subprocess.CompletedProcess[bytes]":
    """The child's end; it is killed once its time is over, and with whoever waits for it."""
    deadline = time.monotonic() + limits.max_wall_seconds
    pending: bytes | None = request
    try:
        while (left := deadline - time.monotonic()) > 0:
            try:
                out, errors = child.communicate(pending, timeout=min(left, _PATIENCE_SECONDS))
            except subprocess.TimeoutExpired:
                pending = None  # communicate keeps what it has not sent yet
                while_waiting()
            else:
                return subprocess.CompletedProcess(child.args, child.returncode, out, errors)
    finally:
        child.kill()
    most = limits.max_wall_seconds
    raise LimitExceeded("max_wall_seconds", limit=most, actual=most)


def _answer(done: "subprocess.CompletedProcess[bytes]", limits: WeightsLimits) -> WeightsDiff:
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        most = limits.max_cpu_seconds
        raise LimitExceeded("max_cpu_seconds", limit=most, actual=most)
    if b"MemoryError" in done.stderr[-4096:]:
        raise LimitExceeded("max_memory_bytes", limit=limits.max_memory_bytes, actual=limits.max_memory_bytes)
    try:
        answer = json.loads(done.stdout) if done.returncode == 0 else {}
    except ValueError:
        answer = {}
    if "diff" in answer:
        return WeightsDiff.from_plain(answer["diff"])
    if "error" in answer:
        raise UnreadableCheckpoint(**answer["error"])
    said = done.stderr.decode(errors="replace").strip().splitlines()
    hint = "numpy must be installed here" if said and "numpy" in said[-1] else ""
    raise UnreadableCheckpoint(
        f"the process that compared the weights ended without an answer (status {done.returncode})", hint=hint
    )
