"""Compare the weights of two registered checkpoints: asked for at once, answered by a process of its own."""

import contextlib
from functools import partial

from app.actions.compare_checkpoints import report_of
from app.checkpoint.weights_child import WeightsLimits, compare_weights
from app.errors import CaliperError, Unavailable
from app.registry.checkpoints import find_checkpoint
from app.registry.database import Database
from app.registry.tables import WeightsDiff
from app.registry.weights_diffs import MAX_ATTEMPTS, claim_diff, finish_diff, renew_diff, request_diff
from app.storage import Storage

LIMITS = WeightsLimits()
"""What one comparison may use."""

LEASE_SECONDS = 60.0
"""How long a comparison is held without a sign of life."""


def request_weights_diff(database: Database, left: str, right: str) -> WeightsDiff:
    """Ask for the comparison of two checkpoints by id or alias; an answer that is there is given again.

    Raises NotFound, or UnreadableCheckpoint for a checkpoint without a report.
    """
    with database.write() as session:
        rows = [find_checkpoint(session, name) for name in (left, right)]
        for row in rows:
            report_of(row)
        return request_diff(session, rows[0].id, rows[1].id)


def answer_weights_diffs(database: Database, storage: Storage) -> int:
    """Do what has been asked, one comparison after another; the number of answers."""
    done = 0
    while (row := _claim(database)) is not None:
        done += _answer(database, storage, row)
    return done


def _claim(database: Database) -> WeightsDiff | None:
    with database.write() as session:
        return claim_diff(session, LEASE_SECONDS)


def _answer(database: Database, storage: Storage, claimed: WeightsDiff) -> bool:
    try:
        if claimed.attempts > MAX_ATTEMPTS:
            raise Unavailable("the processes that compared these weights died", hint="ask again later")
        with database.read() as session:
            rows = [find_checkpoint(session, name) for name in (claimed.left_id, claimed.right_id)]
        reports = (report_of(rows[0]), report_of(rows[1]))
        left, right = (storage.path(row.sha256) for row in rows)
        renew = partial(_renew, database, claimed)
        outcome = {"result": compare_weights(left, right, reports, LIMITS, renew).plain()}
    except CaliperError as error:
        outcome = {"error": error.problem()}
    with database.write() as session:
        return finish_diff(session, claimed.id, claimed.fence, **outcome)


def _renew(database: Database, claimed: WeightsDiff) -> None:
    """A sign of life; a registry that is silent for a moment does no harm."""
    with contextlib.suppress(Unavailable), database.write() as session:
        renew_diff(session, claimed.id, claimed.fence, LEASE_SECONDS)
