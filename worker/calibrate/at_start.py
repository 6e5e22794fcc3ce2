"""A worker that measures itself once, where the settings ask for it; never loads torch itself."""

import json
import subprocess
import sys

import structlog
from pydantic import TypeAdapter

from app.actions.keep_calibration import keep_calibration
from app.network.timing.calibration import Calibration
from app.registry.calibrations import latest_calibration
from app.registry.database import Database

COMMAND = (sys.executable, "-m", "worker.calibrate")
MOST_SECONDS = 180

log = structlog.get_logger()


def calibrate_once(database: Database, device: str) -> bool:
    """Measure this machine if no calibration of `device` is known; whether one was registered.

    A busy machine is left unmeasured, and a measurement that fails is told in the log: a worker must not stay away
    for it.
    """
    with database.read() as session:
        if latest_calibration(session, [device]) is not None:
            return False
    try:
        done = subprocess.run(COMMAND, capture_output=True, text=True, check=False, timeout=MOST_SECONDS)  # noqa: S603
    except subprocess.TimeoutExpired:
        log.warning("not calibrated", device=device, reason=f"not done after {MOST_SECONDS} s")
        return False
    last = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {"event": done.stderr[-300:]}
    if last["event"] != "calibration":
        log.warning("not calibrated", device=device, reason=last["event"])
        return False
    row = keep_calibration(database, TypeAdapter(Calibration).validate_python(last["calibration"]))
    log.info("calibrated", device=device, calibration=row.id)
    return True
