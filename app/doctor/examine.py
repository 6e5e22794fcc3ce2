"""All checks at once: each in a thread of its own, so that one that hangs costs its own time and no other's."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from app.doctor.api import check_api, check_keys, check_readiness
from app.doctor.artifacts import check_artifacts
from app.doctor.broker import check_broker
from app.doctor.database import check_database
from app.doctor.finding import Check, Finding, Patient, Thresholds, ok, problem
from app.doctor.folders import check_folders
from app.doctor.machine import check_device, check_machine
from app.doctor.workers import check_workers
from app.errors import CaliperError
from app.settings import Settings, describe_mistakes

SECONDS = 15.0
"""How long a check may take."""

DEVICE_SECONDS = 90.0
"""How long the look at the device may take: it loads PyTorch."""

CHECKS: Mapping[str, Check] = {
    "machine": check_machine,
    "device": check_device,
    "data folder": check_folders,
    "database": check_database,
    "redis": check_broker,
    "artifacts": check_artifacts,
    "api": check_api,
    "keys": check_keys,
    "readiness": check_readiness,
    "workers": check_workers,
}
"""Every check, in the order in which it is told."""


@dataclass
class Running:
    """A check under way."""

    name: str
    check: Check
    patient: Patient
    found: list[Finding] = field(default_factory=list)

    def start(self) -> threading.Thread:
        """Begin; the thread does not hold up the end of the program."""
        thread = threading.Thread(target=self._run, name=f"doctor-{self.name}", daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        try:
            for finding in self.check(self.patient):
                self.found.append(finding)
        except CaliperError as error:
            self.found.append(problem(self.name, error.detail, error.hint or "see the service's log"))
        except Exception as error:  # noqa: BLE001 - a check that fails is a finding, not an end
            said = f"it could not be looked at: {type(error).__name__}: {error}"
            self.found.append(problem(self.name, said, "CALIPER_TRACEBACK=1 shows where, for a report"))


def examine(
    settings: Settings | None = None,
    *,
    thresholds: Thresholds | None = None,
    names: Sequence[str] | None = None,
    seconds: float = SECONDS,
) -> Iterator[Finding]:
    """Everything that the checks find, check by check; `names`: only these. Settings are read where none are given.

    Nothing is raised: settings that cannot be read are a finding, and the only one.
    """
    try:
        settings = settings or Settings()
    except ValidationError as error:
        for line in describe_mistakes(error).splitlines():
            yield problem("settings", line, "docs/deployment.md lists every setting and what it may be")
        return
    yield ok("settings", "valid")
    patient = Patient(settings, thresholds or Thresholds())
    chosen = {name: check for name, check in CHECKS.items() if names is None or name in names}
    running = [Running(name, check, patient) for name, check in chosen.items()]
    threads = [each.start() for each in running]
    begun = time.monotonic()
    for each, thread in zip(running, threads, strict=True):
        limit = DEVICE_SECONDS if each.name == "device" else seconds
        thread.join(max(0.0, begun + limit - time.monotonic()))
        yield from list(each.found)
        if thread.is_alive():
            yield problem(
                each.name, f"no answer within {limit:g} s", "something hangs: see what it waits for"
            )
