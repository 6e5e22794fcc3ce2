"""Run a command that is asked to stop (SIGTERM) when the process that started it dies.

`python -I -S tether.py <parent pid> <command> …`: standard library only, run by path, so that it costs
a few milliseconds and needs no preexec_fn, which is not safe beside threads. The kernel watches the
*thread* that forked, and forgets the wish when the command changes user. Outside Linux it only runs
the command; there the next start finds what was left (lock.py).
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> int:
    """Become the command; returns 127 where it cannot be run, 143 where the parent is already gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the wish was heard
            return 128 + signal.SIGTERM
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is meant
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
    return 127


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
