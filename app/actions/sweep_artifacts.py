"""Remove stored files that nothing in the registry names: what killed processes left between file and row."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from app.registry.database import Database
from app.registry.files import named_files
from app.storage import Identity, Storage


@dataclass
class ArtifactSweep:
    """Removes a file once it was nameless in every sweep of the grace time.

    A file is stored before its row is written, so a new one may still get a name. How long it has none is told by
    this process's own monotonic clock: a stepped clock cannot make a file old.
    """

    database: Database
    """The registry that names files."""
    storage: Storage
    """Where they lie."""
    grace_seconds: float
    """How long a file may be nameless; far above the time between a file and its row."""
    now: Callable[[], float] = time.monotonic
    """Seconds that never step."""
    _nameless: dict[str, tuple[Identity, float]] = field(default_factory=dict)

    def __call__(self) -> int:
        """Look once; the number of stored files removed."""
        self.storage.sweep(math.inf)  # what dead writers left; uploads have a time of their own
        listed = self.storage.listed()
        with self.database.read() as session:
            named = named_files(session, listed)
        now = self.now()
        self._nameless = {
            sha256: self._first_seen(sha256, identity, now)
            for sha256, identity in listed.items()
            if sha256 not in named
        }
        old = [(k, i) for k, (i, since) in self._nameless.items() if now - since >= self.grace_seconds]
        return sum(self.storage.remove_if_same(sha256, identity) for sha256, identity in old)

    def _first_seen(self, sha256: str, identity: Identity, now: float) -> tuple[Identity, float]:
        known = self._nameless.get(sha256)
        return known if known is not None and known[0] == identity else (identity, now)
