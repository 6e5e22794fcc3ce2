"""`python -m worker.calibrate [--force] [--turns N]`: measure this machine; JSON lines on standard output.

The first line names the machine and how busy it is, then comes one a turn, the last is the calibration, or says why
there is none. Exit code 0 with a calibration, 1 where the machine was busy and --force was not given.
"""

import os

# As the trainer of a job has it (worker/supervise.py): what is measured is what will run.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import json
import sys
import time
from typing import Any

from pydantic import TypeAdapter

from app.network.timing.calibration import Calibration
from worker.calibrate.calibrator import Calibrator
from worker.calibrate.machine import BUSY_PERCENT, LoadWatch
from worker.device import name_device
from worker.ppo.allocator import keep_freed_memory
from worker.ppo.device import detect_device

BUSY = 1


def main(arguments: list[str] | None = None) -> int:
    """Measure and report; the exit code."""
    options = _parse(arguments)
    keep_freed_memory()
    device = detect_device()
    watch = LoadWatch.begin()
    about = {"device": name_device(device), "busy_percent": watch.busy_percent, "limit": BUSY_PERCENT}
    _write("machine", **about)
    if watch.is_busy and not options.force:
        _write("refused", **about)
        return BUSY
    started = time.monotonic()
    calibrator = Calibrator(device, options.clock, watch)
    for turn in calibrator.run(options.turns):
        _write("turn", number=turn, seconds=round(time.monotonic() - started, 2))
    measured = TypeAdapter(Calibration).dump_python(calibrator.result(), mode="json")
    _write("calibration", calibration=measured)
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="worker.calibrate")
    parser.add_argument("--force", action="store_true", help="measure a busy machine too")
    parser.add_argument("--turns", type=int, default=0, help="0: as many as fit the time")
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall")
    return parser.parse_args(arguments)


def _write(event: str, **values: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
