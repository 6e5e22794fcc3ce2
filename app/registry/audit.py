"""The audit: who changed what, or was refused to; written, listed, and dropped once it is old."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.registry.tables import AuditEntry


def add_entry(session: Session, entry: AuditEntry) -> AuditEntry:
    """Write an entry."""
    session.add(entry)
    session.flush()
    return entry


def list_entries(
    session: Session,
    *,
    limit: int,
    before: str | None = None,
    key_id: str | None = None,
    target: str | None = None,
) -> Sequence[AuditEntry]:
    """Newest first, at most `limit`, older than the id `before`; of one key, or about one thing, where named."""
    query = select(AuditEntry)
    query = query.where(AuditEntry.id < before) if before else query
    query = query.where(AuditEntry.key_id == key_id) if key_id else query
    query = query.where(AuditEntry.target == target) if target else query
    return session.scalars(query.order_by(AuditEntry.id.desc()).limit(limit)).all()


def drop_entries(session: Session, before: datetime, limit: int) -> int:
    """Delete up to `limit` entries from before a time; how many. Ids sort by time, so that no other index is needed."""
    last = f"audit_{int(before.timestamp() * 1_000):012x}"
    old = select(AuditEntry.id).where(AuditEntry.id < last).order_by(AuditEntry.id).limit(limit)
    gone = delete(AuditEntry).where(AuditEntry.id.in_(old.scalar_subquery())).returning(AuditEntry.id)
    return len(session.execute(gone, execution_options={"synchronize_session": False}).all())
