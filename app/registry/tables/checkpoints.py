"""Checkpoints, how they are called, how they arrive, and comparisons of their weights."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.registry.tables.base import Base, utc_now

LISTED_BY = ("hidden_dims", "obs_dim", "producer", "kind", "job_id")
"""Columns by whose exact value checkpoints are listed."""

LIVE = text("deleted_at IS NULL")
"""A training run leaves many checkpoints behind that are deleted by now; lists never read past them."""


def _live(name: str, *columns: str) -> Index:
    return Index(f"ix_checkpoints_{name}", *columns, sqlite_where=LIVE, postgresql_where=LIVE)


class Checkpoint(Base):
    """A checkpoint file that the registry knows; the bytes lie in the storage under `sha256`.

    Each index ends in the id: lists come in its order, so that a page reads its own rows and no others.
    """

    __tablename__ = "checkpoints"
    __table_args__ = (
        _live("live", "id"),
        # All that a search for a part of a name looks at; without `deleted_at` SQLite would read each row for it.
        _live("name_live", "id", "name", "deleted_at"),
        _live("kind_bytes_live", "kind", "bytes"),  # summed at each scrape of /metrics
        *(_live(f"{each}_live", each, "id") for each in LISTED_BY),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(20))
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    predicted_bytes: Mapped[int | None] = mapped_column(BigInteger)
    producer: Mapped[str] = mapped_column(String(60))
    obs_dim: Mapped[int | None] = mapped_column(BigInteger)
    hidden_dims: Mapped[str | None] = mapped_column(String(200))
    action_dim: Mapped[int | None] = mapped_column(BigInteger)
    parameters: Mapped[int] = mapped_column(BigInteger)
    step: Mapped[int | None] = mapped_column(BigInteger)
    config: Mapped[dict[str, Any] | None]
    versions: Mapped[dict[str, Any] | None]
    metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    report: Mapped[dict[str, Any]]
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id"), index=True)
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("checkpoints.id"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    deleted_at: Mapped[datetime | None]
    key_id: Mapped[str | None] = mapped_column(String(40), index=True)


class CheckpointMetric(Base):
    """A number among the metrics of a checkpoint that is not deleted, under its path, such as `test.sharpe`."""

    __tablename__ = "checkpoint_metrics"
    # Holds all that a filter looks at, in the order of a list: no row is read for what does not match.
    __table_args__ = (Index("ix_checkpoint_metrics_name", "name", "checkpoint_id", "value"),)

    checkpoint_id: Mapped[str] = mapped_column(
        ForeignKey("checkpoints.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    value: Mapped[float]


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
    key_id: Mapped[str | None] = mapped_column(String(40), index=True)


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
    __table_args__ = (Index("ix_tags_tag", "tag", "checkpoint_id"),)

    checkpoint_id: Mapped[str] = mapped_column(
        ForeignKey("checkpoints.id", ondelete="CASCADE"), primary_key=True
    )
    tag: Mapped[str] = mapped_column(String(60), primary_key=True)


class Alias(Base):
    """A name that points to one checkpoint at a time, such as `live`."""

    __tablename__ = "aliases"

    alias: Mapped[str] = mapped_column(String(60), primary_key=True)
    checkpoint_id: Mapped[str] = mapped_column(ForeignKey("checkpoints.id", ondelete="CASCADE"), index=True)
