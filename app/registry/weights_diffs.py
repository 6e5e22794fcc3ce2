"""Comparisons of weights: ask, claim under a lease, answer; the row is the truth here too."""

from typing import Any

from sqlalchemy import and_, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.registry.database import DatabaseNow, new_id
from app.registry.tables import WeightsDiff, utc_now

MAX_ATTEMPTS = 3
"""Times that a comparison is begun before a worker that died over it fails it."""


def request_diff(session: Session, left_id: str, right_id: str) -> WeightsDiff:
    """The comparison of these two checkpoints: the one that is there, asked for anew where it failed."""
    row = _find_pair(session, left_id, right_id)
    if row is None:
        try:
            with session.begin_nested():
                row = WeightsDiff(id=new_id("weights"), left_id=left_id, right_id=right_id)
                session.add(row)
        except IntegrityError:  # another request was first
            row = _find_pair(session, left_id, right_id)
            assert row is not None
    if row.state == "failed":
        row.state, row.attempts, row.error, row.ended_at = "queued", 0, None, None
    session.flush()
    return row


def find_diff(session: Session, diff_id: str) -> WeightsDiff:
    """The comparison with this id. Raises NotFound."""
    row = session.get(WeightsDiff, diff_id)
    if row is None:
        hint = "POST /checkpoints/diff/weights begins one"
        raise NotFound(f"there is no comparison of weights {diff_id[:80]!r}", hint=hint)
    return row


def is_held(session: Session, diff_id: str) -> bool:
    """Whether a worker is at work on a comparison: it runs, under a lease that has not lapsed."""
    held = select(WeightsDiff.id).where(
        WeightsDiff.id == diff_id,
        WeightsDiff.state == "running",
        WeightsDiff.lease_expires_at > DatabaseNow(),
    )
    return session.scalars(held).first() is not None


def claim_diff(session: Session, lease_seconds: float) -> WeightsDiff | None:
    """Take the oldest comparison that waits or whose worker fell silent; None where there is nothing to do."""
    lapsed = and_(WeightsDiff.state == "running", WeightsDiff.lease_expires_at <= DatabaseNow())
    free = or_(WeightsDiff.state == "queued", lapsed)
    oldest = select(WeightsDiff.id).where(free).order_by(WeightsDiff.id).limit(1).scalar_subquery()
    claimed = (
        update(WeightsDiff)
        .where(WeightsDiff.id == oldest, free)
        .values(
            state="running",
            fence=WeightsDiff.fence + 1,
            attempts=WeightsDiff.attempts + 1,
            lease_expires_at=DatabaseNow() + lease_seconds,
        )
        .returning(WeightsDiff)
    )
    return session.scalars(claimed).first()


def renew_diff(session: Session, diff_id: str, fence: int, lease_seconds: float) -> bool:
    """Hold on to a comparison; False where another worker has it by now."""
    renewed = (
        update(WeightsDiff)
        .where(WeightsDiff.id == diff_id, WeightsDiff.fence == fence, WeightsDiff.state == "running")
        .values(lease_expires_at=DatabaseNow() + lease_seconds)
        .returning(WeightsDiff.id)
    )
    return session.execute(renewed).first() is not None


def release_diff(session: Session, diff_id: str, fence: int) -> bool:
    """Give a comparison back unanswered, as if it had never been begun; False where another worker has it."""
    released = (
        update(WeightsDiff)
        .where(WeightsDiff.id == diff_id, WeightsDiff.fence == fence, WeightsDiff.state == "running")
        .values(state="queued", attempts=WeightsDiff.attempts - 1, lease_expires_at=None)
        .returning(WeightsDiff.id)
    )
    return session.execute(released).first() is not None


def finish_diff(
    session: Session,
    diff_id: str,
    fence: int,
    *,
    result: dict[str, Any] | None = None,
    error: dict[str, Any] | None = None,
) -> bool:
    """Record the answer or the error; False where another worker holds the comparison by now."""
    state = "failed" if result is None else "succeeded"
    done = (
        update(WeightsDiff)
        .where(WeightsDiff.id == diff_id, WeightsDiff.fence == fence, WeightsDiff.state == "running")
        .values(state=state, result=result, error=error, ended_at=utc_now(), lease_expires_at=None)
        .returning(WeightsDiff.id)
    )
    return session.execute(done).first() is not None


def _find_pair(session: Session, left_id: str, right_id: str) -> WeightsDiff | None:
    query = select(WeightsDiff).where(WeightsDiff.left_id == left_id, WeightsDiff.right_id == right_id)
    return session.scalars(query).first()
