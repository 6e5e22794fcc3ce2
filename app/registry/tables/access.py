"""Who may do what, and what was done: API keys and the audit of changing requests.

Keys are revoked, never deleted: `key_id` columns of other tables name them for good, without a foreign key.
"""

from datetime import datetime

from sqlalchemy import BigInteger, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.registry.tables.base import Base, utc_now


class ApiKey(Base):
    """A key by its hash; the key itself is known to whoever was given it, and to nobody else.

    A quota that is None is the service's setting.
    """

    __tablename__ = "api_keys"
    __table_args__ = (UniqueConstraint("prefix"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    prefix: Mapped[str] = mapped_column(String(40))
    sha256: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(20))
    max_open_jobs: Mapped[int | None]
    max_upload_bytes: Mapped[int | None] = mapped_column(BigInteger)
    max_gpu_hours: Mapped[float | None]
    created_by: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class AuditEntry(Base):
    """One request that changed something, or was refused to; its id sorts by time."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_key_id_id", "key_id", "id"),
        Index("ix_audit_target_id", "target", "id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    at: Mapped[datetime] = mapped_column(default=utc_now)
    key_id: Mapped[str | None] = mapped_column(String(40))
    address: Mapped[str | None] = mapped_column(String(60))
    method: Mapped[str] = mapped_column(String(10))
    route: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(60))
    target: Mapped[str | None] = mapped_column(String(200))
    status: Mapped[int]
    outcome: Mapped[str] = mapped_column(String(20))
    request_id: Mapped[str | None] = mapped_column(String(64))
    skipped: Mapped[int] = mapped_column(default=0)
    """Refusals before this one that were not written down, because there were too many."""
