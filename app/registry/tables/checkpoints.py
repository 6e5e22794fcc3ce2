"""Checkpoints, how they are called, how they arrive, and comparisons of their weights."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.registry.tables.base import Base, utc_now


class Checkpoint(Base):
    """A checkpoint file that the registry knows; the bytes lie in the storage under `sha256`."""

    __tablename__ = "checkpoints"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(20))
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    predicted_bytes: Mapped[int | None] = mapped_column(BigInteger)
    producer: Mapped[str] = mapped_column(String(60))
    obs_dim: Mapped[int | None] = mapped_column(BigInteger)
    hidden_dims: Mapped[str | None] = mapped_column(String(200), index=True)
    action_dim: Mapped[int | None] = mapped_column(BigInteger)
    parameters: Mapped[int] = mapped_column(BigInteger)
    step: Mapped[int | None] = mapped_column(BigInteger)
    config: Mapped[dict[str, Any] | None]
    versions: Mapped[dict[str, Any] | None]
    metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    report: Mapped[dict[str, Any]]
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"), index=True)
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id"), index=True)
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("checkpoints.id"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    deleted_at: Mapped[datetime | None]


class Upload(Base):
    """A checkpoint file that comes in parts; how much has arrived is the length of its file, not a column."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))
    checkpoint_id: Mapped[str | None] = mapped_column(ForeignKey("checkpoints.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class WeightsDiff(Base):
    """A comparison of two checkpoints' weights: asked for, held under a lease, answered."""

    __tablename__ = "weights_diffs"
    __table_args__ = (UniqueConstraint("left_id", "right_id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    left_id: Mapped[str] = mapped_column(ForeignKey("checkpoints.id", ondelete="CASCADE"))
    right_id: Mapped[str] = mapped_column(ForeignKey("checkpoints.id", ondelete="CASCADE"))
    state: Mapped[str] = mapped_column(String(20), default="queued", index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    fence: Mapped[int] = mapped_column(BigInteger, default=0)
    lease_expires_at: Mapped[float | None]
    result: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    ended_at: Mapped[datetime | None]


class Tag(Base):
    """A word put on a checkpoint; many checkpoints may carry the same."""

    __tablename__ = "tags"

    checkpoint_id: Mapped[str] = mapped_column(
        ForeignKey("checkpoints.id", ondelete="CASCADE"), primary_key=True
    )
    tag: Mapped[str] = mapped_column(String(60), primary_key=True, index=True)


class Alias(Base):
    """A name that points to one checkpoint at a time, such as `live`."""

    __tablename__ = "aliases"

    alias: Mapped[str] = mapped_column(String(60), primary_key=True)
    checkpoint_id: Mapped[str] = mapped_column(ForeignKey("checkpoints.id", ondelete="CASCADE"), index=True)
