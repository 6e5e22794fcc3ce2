"""A fault that was done and how its recovery is watched; signals and limits for processes that may be gone."""

import resource
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from app.errors import Unavailable


@dataclass
class Harm:
    """A fault that was done."""

    kind: str
    what: str
    recovered: Callable[[], bool]
    noticed: Callable[[], bool] | None = None
    """Whether the service knows of it: an attempt was ended, a checkpoint refused, a wake-up sent again."""
    is_loss: bool = False
    """Whether a worker or an attempt is gone, which must be known soon; a wake-up may wait as long as no API is there."""
    at: float = 0.0
    noticed_after: float | None = None
    recovered_after: float | None = None

    def look(self) -> None:
        """Note the moment at which it was noticed and at which all went on."""
        try:
            if self.noticed is not None and self.noticed_after is None and self.noticed():
                self.noticed_after = time.monotonic() - self.at
            if self.recovered_after is None and self.recovered():
                self.recovered_after = time.monotonic() - self.at
        except Unavailable:
            return


class FullDisk:
    """No file of these processes may grow past 1 KiB until the disk is freed."""

    def __init__(self, processes: list[psutil.Process]) -> None:
        self.is_full, self._processes = True, processes
        self._limit(1024)

    def free(self) -> None:
        """Files may grow again."""
        self.is_full = False
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        for process in self._processes:
            try:
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            except ProcessLookupError:
                continue


def kill(*processes: psutil.Process) -> None:
    """SIGKILL."""
    tell(list(processes), signal.SIGKILL)


def tell(processes: list[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to those that are alive."""
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.Error:
            continue


def poll(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition came to hold within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def later(seconds: float, action: Callable[[], None]) -> None:
    """Do something after a while, beside everything else."""
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()
