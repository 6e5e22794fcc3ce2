"""Compare the weights of two registered checkpoints: asked for at once, answered by whichever worker comes first."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from app.actions.compare_checkpoints import report_of
from app.checkpoint.weights_child import WeightsLimits, compare_weights
from app.errors import CaliperError, StoreUnavailable, Unavailable
from app.registry.checkpoints import find_checkpoint
from app.registry.database import Database
from app.registry.tables import WeightsDiff
from app.registry.weights_diffs import (
    MAX_ATTEMPTS,
    claim_diff,
    finish_diff,
    release_diff,
    renew_diff,
    request_diff,
)
from app.storage import Storage

LIMITS = WeightsLimits()
"""What one comparison may use."""

LEASE_SECONDS = 60.0
"""How long a comparison is held without a sign of life."""

RENEW_SECONDS = 15.0
"""Time between two signs of life."""


def request_weights_diff(database: Database, left: str, right: str) -> WeightsDiff:
    """Ask for the comparison of two checkpoints by id or alias; an answer that is there is given again.

    Raises NotFound, or UnreadableCheckpoint for a checkpoint without a report.
    """
    with database.write() as session:
        rows = [find_checkpoint(session, name) for name in (left, right)]
        for row in rows:
            report_of(row)
        return request_diff(session, rows[0].id, rows[1].id)


def answer_weights_diff(
    database: Database, storage: Storage, stopping: Callable[[], bool] = lambda: False
) -> bool:
    """Do the comparison that has waited longest, in a child process; whether there was one.

    Once `stopping` says so the child is killed and the comparison given back. Raises Unavailable where the
    registry does not answer: then the lease lapses, and another turn takes the comparison.
    """
    with database.write() as session:
        claimed = claim_diff(session, LEASE_SECONDS)
    if claimed is None:
        return False
    try:
        outcome = _compare(database, storage, claimed, _Hold(database, claimed, stopping))
    except _GivenUpError:
        with database.write() as session:
            release_diff(session, claimed.id, claimed.fence)
    else:
        with database.write() as session:
            finish_diff(session, claimed.id, claimed.fence, **outcome)
    return True


class _GivenUpError(Exception):
    """The comparison is no longer this process's to answer."""


@dataclass
class _Hold:
    """What is seen to while the child works: the wish to stop, and the lease."""

    database: Database
    claimed: WeightsDiff
    stopping: Callable[[], bool]
    renewed_at: float = field(default_factory=time.monotonic)

    def keep(self) -> None:
        """Raise _GivenUpError where the child is to end; a registry that is silent for a moment does no harm."""
        if self.stopping():
            raise _GivenUpError
        now = time.monotonic()
        if now - self.renewed_at < RENEW_SECONDS:
            return
        with contextlib.suppress(Unavailable):
            with self.database.write() as session:
                is_ours = renew_diff(session, self.claimed.id, self.claimed.fence, LEASE_SECONDS)
            self.renewed_at = now
            if not is_ours:
                raise _GivenUpError


def _compare(database: Database, storage: Storage, claimed: WeightsDiff, hold: _Hold) -> dict[str, Any]:
    """The result, or the error as a problem document."""
    if claimed.attempts > MAX_ATTEMPTS:
        died = Unavailable("the workers that compared these weights died over it", hint="ask again later")
        return {"error": died.problem()}
    try:
        with database.read() as session:
            rows = [find_checkpoint(session, name) for name in (claimed.left_id, claimed.right_id)]
        reports = (report_of(rows[0]), report_of(rows[1]))
        with (
            storage.local_copy(rows[0].sha256, hold.keep) as left,
            storage.local_copy(rows[1].sha256, hold.keep) as right,
        ):
            return {"result": compare_weights(left, right, reports, LIMITS, hold.keep).plain()}
    except StoreUnavailable as error:
        return {"error": error.problem()}
    except Unavailable:  # the registry is away, which says nothing of the files
        raise
    except CaliperError as error:
        return {"error": error.problem()}
