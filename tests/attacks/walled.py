"""Reads every file of a folder, each in a process of its own behind hard walls; prints the verdicts as JSON.

`python walled.py ROOT FOLDER`: started once without site packages, it forks for each file, so that 300 files
cost 300 forks and not 300 interpreters. Each fork has 256 MiB of address space, 2 s of processor time (the rest of the
machine may be busy) and 30 s of wall time; a fork that dies of one of them is reported with its signal.
"""

import json
import os
import resource
import signal
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])

from app.checkpoint.inspect import inspect_checkpoint
from app.errors import CaliperError

MEMORY, CPU_SECONDS, WALL_SECONDS = 256 << 20, 2, 30


def verdict(path: Path) -> dict:
    try:
        report = inspect_checkpoint(path)
    except CaliperError as error:
        found = error.extra.get("findings", [])
        return {
            "error": error.code,
            "findings": [[f["code"], f["severity"]] for f in found],
            "complete": False,
        }
    text = json.dumps(report.plain(), allow_nan=False)
    found = [[f.code, f.severity] for f in report.findings]
    printable = all(finding.explanation.isprintable() for finding in report.findings)
    return {
        "error": None,
        "findings": found,
        "complete": report.complete,
        "printable": printable,
        "size": len(text),
    }


def walled(path: Path) -> dict:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
        signal.alarm(WALL_SECONDS)
        with os.fdopen(write_end, "w") as pipe:
            json.dump(verdict(path), pipe)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        said = pipe.read()
    _, status, usage = os.wait4(child, 0)
    answer = (
        json.loads(said)
        if said and status == 0
        else {"error": f"no answer, wait status {status}", "findings": []}
    )
    cpu = usage.ru_utime + usage.ru_stime
    return {**answer, "cpu_seconds": round(cpu, 3), "peak_mib": usage.ru_maxrss // 1024}


if __name__ == "__main__":
    files = sorted(Path(sys.argv[2]).iterdir())
    json.dump({path.stem: walled(path) for path in files}, sys.stdout)
