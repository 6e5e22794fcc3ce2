"""One stack per data_dir, and an end to what a killed stack left behind.

The lock is an flock: the kernel drops it when its holder dies, so it is never stale. The children's
pids and start times stand beside it, because a child of a killed stack may outlive it.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.errors import Conflict
from app.local.processes import Process


class StackLock:
    """Holds a data_dir for this process. `acquire` raises Conflict where another stack holds it."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "stack.lock"
        self._children = run_dir / "children.json"
        self._descriptor: int | None = None

    def acquire(self, **note: Any) -> None:
        """Take the lock and leave a note (pid, url) for who comes second."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise self._conflict() from None
        self._descriptor = descriptor
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), **note}).encode(), 0)

    def release(self) -> None:
        """Give the lock back; the file stays, since removing it would let two holders in."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def is_held(self) -> bool:
        """Whether a stack runs on this folder; looks only, and leaves no lock file where there was none."""
        with suppress(OSError), self._path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def remember(self, children: Mapping[str, Process]) -> None:
        """Write down the children that run now."""
        new = self._children.with_suffix(".new")
        new.write_text(json.dumps({name: [child.pid, child.started] for name, child in children.items()}))
        new.replace(self._children)

    def leftovers(self) -> dict[str, Process]:
        """Children of an earlier stack that are still alive."""
        with suppress(OSError, ValueError, TypeError, AttributeError):
            rows = json.loads(self._children.read_text())
            found = {str(name): Process(int(pid), str(started)) for name, (pid, started) in rows.items()}
            return {name: child for name, child in found.items() if child.is_alive()}
        return {}

    def _conflict(self) -> Conflict:
        note: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            note = json.loads(self._path.read_text())
        data_dir = self._path.parent.parent
        return Conflict(
            f"a stack already runs on {data_dir}, pid {note.get('pid', '?')}, at {note.get('url', '?')}",
            hint="use that one, stop it, or choose another folder with CALIPER_DATA_DIR",
        )
