"""Actions that the API process repeats: the relay of messages, the sweep of the queue, that of uploads."""

import threading
import time
from collections.abc import Callable

import structlog

from app.errors import Unavailable

STOP_SECONDS = 15.0
"""How long the end of a turn is awaited when the service stops."""

log = structlog.get_logger()


class Repeated:
    """An action that a thread of its own repeats every `seconds`, and at once when woken.

    Nothing that the action raises ends the thread: Unavailable is told once and waits for the next turn,
    anything else is logged with its trace.
    """

    def __init__(self, name: str, action: Callable[[], object], seconds: float) -> None:
        self.name = name
        self._action = action
        self._seconds = seconds
        self._woken = threading.Event()
        self._stopping = False
        self._silent = False
        self.turns = 0
        """Turns that ended well."""
        self.failures = 0
        """Turns that did not."""
        self._ended_well_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"caliper-{name}", daemon=True)

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last turn that ended well, or since this was made."""
        return time.monotonic() - self._ended_well_at

    def start(self) -> None:
        """Begin; the first turn comes at once."""
        self._thread.start()

    def wake(self) -> None:
        """Let the next turn begin now."""
        self._woken.set()

    def stop(self) -> None:
        """Let the turn that runs end, and begin no other."""
        self._stopping = True
        self._woken.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping:
            self._woken.clear()
            self._take_turn()
            self._woken.wait(self._seconds)

    def _take_turn(self) -> None:
        try:
            self._action()
        except Unavailable as error:
            if not self._silent:
                log.warning("waiting for a part of the service", loop=self.name, error=error.detail)
            self._silent = True
            self.failures += 1
        except Exception:
            log.exception("a turn failed", loop=self.name)
            self.failures += 1
        else:
            self.turns += 1
            self._ended_well_at = time.monotonic()
            if self._silent:
                log.info("the part of the service answers again", loop=self.name)
            self._silent = False
