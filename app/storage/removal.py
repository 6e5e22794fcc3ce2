"""How a nameless object is removed from a store without racing whoever is about to name it.

A store has no rename and, mostly, no delete on a condition. Two small objects stand in for both, told by the
store's own clock and its order of events (S3 is strongly consistent):

- `removing/<hash>` is there while a sweep looks once more and deletes;
- `keeping/<hash>` is left by whoever adopts a file that is there already, in place of sending it again.

The sweep announces itself, then looks for a young `keeping` and for a changed identity, then deletes. Whoever adopts
leaves `keeping` or sends the file, then looks for `removing`, then whether the file is there. If it sees no sweep, either
the sweep began later, and sees the mark or the new file; or it had ended, and whether the file is there is the truth.
"""

import time
from datetime import UTC, datetime, timedelta

import obstore
from obstore.store import S3Store

from app.errors import StoreUnavailable
from app.storage.connect import asking

KEEPING, REMOVING = "keeping", "removing"

KEPT_FOR = timedelta(hours=1)
"""How long a file that is there already may take from its adoption to its row."""
FORGOTTEN_AFTER = timedelta(days=1)
"""Age at which a mark that was left behind is dropped: far more than clocks of machines differ."""

POLL_SECONDS, PATIENCE_SECONDS = 0.2, 20.0
"""How often and how long the end of a removal is awaited."""


class Removals:
    """The marks of one store."""

    def __init__(self, store: S3Store) -> None:
        self._store = store

    def keep(self, sha256: str) -> None:
        """Protect a file that is there already until its row is written."""
        self._put(f"{KEEPING}/{sha256}")

    def begin(self, sha256: str) -> bool:
        """Announce a removal; False where the file is protected or another removal goes on."""
        with asking("announce a removal"):
            try:
                obstore.put(self._store, f"{REMOVING}/{sha256}", b"", mode="create")
            except obstore.exceptions.AlreadyExistsError:
                return False
        begun, kept = self._time_of(REMOVING, sha256), self._time_of(KEEPING, sha256)
        if begun is not None and (kept is None or begun - kept > KEPT_FOR):
            return True
        self.end(sha256)
        return False

    def end(self, sha256: str) -> None:
        """Take the announcement back."""
        with asking("end a removal"):
            obstore.delete(self._store, f"{REMOVING}/{sha256}")

    def await_end(self, sha256: str) -> bool:
        """Whether no removal went on; waits for the end of one. Raises StoreUnavailable where it does not end."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        waited = False
        while self._time_of(REMOVING, sha256) is not None:
            if time.monotonic() > deadline:
                raise StoreUnavailable(
                    f"the stored file {sha256} is being removed", hint="try again in a minute"
                )
            waited = True
            time.sleep(POLL_SECONDS)
        return not waited

    def forget_old(self) -> None:
        """Drop marks that were left behind."""
        oldest = datetime.now(UTC) - FORGOTTEN_AFTER
        with asking("list marks"):
            for folder in (KEEPING, REMOVING):
                for batch in obstore.list(self._store, folder):
                    for meta in batch:
                        if meta["last_modified"] < oldest:
                            obstore.delete(self._store, meta["path"])

    def _put(self, key: str) -> None:
        with asking("take a mark"):
            obstore.put(self._store, key, b"")

    def _time_of(self, folder: str, sha256: str) -> datetime | None:
        with asking("look up a mark"):
            try:
                return obstore.head(self._store, f"{folder}/{sha256}")["last_modified"]
            except FileNotFoundError:
                return None
