"""The trainer as a process: ends with its supervisor, stops when asked."""

import ctypes
import os
import signal
import sys
from dataclasses import dataclass


@dataclass
class StopFlag:
    """Set by SIGTERM: the run ends after the present update."""

    wanted: bool = False

    def listen(self) -> None:
        """Set the flag on SIGTERM; leave Ctrl-C to the supervisor."""
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "wanted", True))
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def die_with_parent(parent: int) -> bool:
    """Have Linux kill this process when its supervisor dies; False where it has died already.

    Loading torch takes seconds before this is asked for: a supervisor that dies in them is noticed by its absence.
    """
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
    return os.getppid() == parent
