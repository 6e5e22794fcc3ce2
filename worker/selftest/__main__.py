"""`python -m worker.selftest`: run both checks; JSON lines on standard output, exit code 0 where both hold, else 1.

The first line is the plan, then comes one for each run as it ends, the last is the verdict.
"""

import json
import sys
import time
from dataclasses import asdict
from typing import Any

from worker.selftest.checks import (
    FALSE_ALARM_RATE,
    FALSE_ALARM_Z,
    NEAR_OPTIMAL,
    SPEC,
    Run,
    Scale,
    judge_runs,
    run_checks,
    use_one_thread,
)


def main(scale: Scale) -> int:
    """Run and report; the exit code."""
    use_one_thread()
    started = time.monotonic()
    _write("plan", **describe(scale))
    runs: list[Run] = []
    for run in run_checks(scale):
        runs.append(run)
        _write("run", **asdict(run), found=run.found)
    verdict = judge_runs(runs)
    seconds = round(time.monotonic() - started, 1)
    _write("verdict", **asdict(verdict), passed=verdict.passed, seconds=seconds)
    return 0 if verdict.passed else 1


def describe(scale: Scale) -> dict[str, Any]:
    """What will be tested, and by which bounds it is judged."""
    return {
        "scale": asdict(scale),
        "costs": asdict(SPEC.costs),
        "near_optimal": NEAR_OPTIMAL,
        "false_alarm_z": FALSE_ALARM_Z,
        "false_alarm_rate": FALSE_ALARM_RATE,
    }


def _write(event: str, **values: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(Scale()))
