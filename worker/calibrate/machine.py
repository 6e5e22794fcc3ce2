"""What is measured and how busy the machine is: names, versions, load, pressure, time stolen by the hypervisor."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import torch

from app.network.disk.contents import WRITER_VERSIONS
from app.network.timing.calibration import MachineLoad

BUSY_PERCENT = 15.0
"""Percent of all processors' time used by others just before, above which the machine counts as loaded. The load
average would not do: a minute after other work has ended it still tells of it."""

PROBE_SECONDS = 1.0
"""How long is looked, before anything is measured."""

BUSY_WAITING = 25.0
"""Percent of the time in which some process waited for a processor, above which the machine counts as loaded."""

BUSY_STOLEN = 5.0
"""The same of the time that the hypervisor gave to others."""

_PRESSURE, _STAT = Path("/proc/pressure/cpu"), Path("/proc/stat")


def find_versions() -> dict[str, str]:
    """Of all that the speeds depend on."""
    driver = ""
    if torch.cuda.is_available():
        with suppress(OSError):
            driver = Path("/proc/driver/nvidia/version").read_text().splitlines()[0]
    found = {
        "caliper": WRITER_VERSIONS["caliper"],
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "rocm": torch.version.hip,
        "driver": driver,
    }
    return {name: version for name, version in found.items() if version}


@dataclass(frozen=True, slots=True)
class LoadWatch:
    """How busy others kept the machine before a measurement, and counters at its beginning."""

    busy_percent: float | None
    load_average: float
    waited_us: int | None
    ticks: "_Ticks | None"
    started: float

    @classmethod
    def begin(cls, probe_seconds: float = PROBE_SECONDS) -> "LoadWatch":
        """Look on for a moment, then read the counters."""
        before = _read_ticks()
        sleep(probe_seconds)
        after = _read_ticks()
        busy = after.busy_percent(before) if before and after else None
        return cls(busy, os.getloadavg()[0], _read_waiting(), after, monotonic())

    @property
    def is_busy(self) -> bool:
        """Whether others used the machine before the measurement began."""
        return (self.busy_percent or 0.0) > BUSY_PERCENT

    def end(self) -> MachineLoad:
        """What has happened since."""
        waited, ticks = _read_waiting(), _read_ticks()
        seconds = max(monotonic() - self.started, 1e-9)
        waiting = None
        if waited is not None and self.waited_us is not None:
            waiting = round((waited - self.waited_us) / 1e4 / seconds, 1)
        stolen = ticks.stolen_percent(self.ticks) if ticks and self.ticks else None
        disturbed = (waiting or 0) > BUSY_WAITING or (stolen or 0) > BUSY_STOLEN
        return MachineLoad(
            load_average=round(self.load_average, 2),
            busy_percent=self.busy_percent,
            waiting_percent=waiting,
            stolen_percent=stolen,
            cpus=os.cpu_count() or 1,
            loaded=disturbed or self.is_busy,
        )


@dataclass(frozen=True, slots=True)
class _Ticks:
    """Times of all processors since the machine started."""

    idle: int
    stolen: int
    total: int

    def busy_percent(self, before: "_Ticks") -> float:
        return self._percent(before, (self.total - self.idle) - (before.total - before.idle))

    def stolen_percent(self, before: "_Ticks") -> float:
        return self._percent(before, self.stolen - before.stolen)

    def _percent(self, before: "_Ticks", part: int) -> float:
        return round(100 * part / max(1, self.total - before.total), 1)


def _read_waiting() -> int | None:
    """Microseconds in which some process waited for a processor, since the machine started."""
    with suppress(OSError, ValueError, IndexError):
        some = _PRESSURE.read_text().splitlines()[0]
        return int(some.rpartition("total=")[2])
    return None


def _read_ticks() -> _Ticks | None:
    """user, nice, system, idle, iowait, irq, softirq, steal: proc(5)."""
    with suppress(OSError, ValueError, IndexError):
        ticks = [int(part) for part in _STAT.read_text().splitlines()[0].split()[1:9]]
        return _Ticks(ticks[3] + ticks[4], ticks[7], sum(ticks))
    return None
