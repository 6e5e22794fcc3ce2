"""The child process of `sandbox.py`: a file, or a socket that lends its ranges, on standard input, one JSON answer on standard output."""

import json
import os
import resource
import sys
from typing import Any

from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.lent_ranges import borrow_ranges
from app.checkpoint.limits import ReadLimits
from app.errors import CaliperError, LimitExceeded


def main(arguments: list[str]) -> int:
    """Read the request from the arguments, fence this process in, inspect, answer."""
    request = json.loads(arguments[0])
    _fence(request["max_memory_bytes"], request["max_cpu_seconds"])
    if "size" in request:
        answer = _answer(borrow_ranges(os.dup(0), request["size"]), request)
    else:
        with os.fdopen(0, "rb", buffering=0, closefd=False) as file:
            answer = _answer(file, request)
    sys.stdout.write(json.dumps(answer, allow_nan=False))
    return 0


def _fence(memory: int, seconds: int) -> None:
    """No more memory or time than given, no file written, no process started, no core dumped.

    The hard limit of the time is higher, so that its end is SIGXCPU, which nothing else sends, not SIGKILL.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_NPROC):
        resource.setrlimit(limit, (0, 0))


def _answer(file: Any, request: dict[str, Any]) -> dict[str, Any]:
    limits = ReadLimits(**request["limits"])
    try:
        report = inspect_checkpoint(
            file,
            limits=limits,
            name=request["name"],
            with_sha256=request["with_sha256"],
            with_statistics=request["with_statistics"],
        )
    except LimitExceeded as error:
        return {"limit": _limit(error), "findings": error.extra.get("findings")}
    except CaliperError as error:
        said = {"detail": error.detail, "hint": error.hint, "pointer": error.pointer}
        return {"error": said, "findings": error.extra.get("findings")}
    except MemoryError:
        most = request["max_memory_bytes"]
        return {"limit": {"name": "max_memory_bytes", "limit": most, "actual": most, "pointer": ""}}
    return {"report": report.plain()}


def _limit(error: LimitExceeded) -> dict[str, Any]:
    return {"name": error.limit_name, "limit": error.limit, "actual": error.actual, "pointer": error.pointer}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
