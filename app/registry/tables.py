"""The registry's tables: datasets, jobs with their datasets, attempts, events and metrics, checkpoints, workers, outbox.

Times are UTC; lease times are the database's own clock in epoch seconds, so that machines whose clocks
differ agree on who holds a job.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy import DateTime as SqlDateTime
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Utc(TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite stores none of the zone, so it is put back when read."""

    impl = SqlDateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give the stored time its zone."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def utc_now() -> datetime:
    """The present moment, with its zone."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """The base of every table."""

    # Constraints have names on every database, so that a migration can drop them.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )

    type_annotation_map = {  # noqa: RUF012 - read by SQLAlchemy, never changed
        dict[str, Any]: JSON,
        list[Any]: JSON,
        datetime: Utc,
    }


class Dataset(Base):
    """Validated bars; the bytes lie in the storage under `sha256`."""

    __tablename__ = "datasets"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), index=True)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    file_sha256: Mapped[str] = mapped_column(String(64))
    rows: Mapped[int] = mapped_column(BigInteger)
    bar_seconds: Mapped[int]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    declarations: Mapped[dict[str, Any]]
    report: Mapped[dict[str, Any]]
    chart_svg: Mapped[str | None] = mapped_column(Text, deferred=True)  # read for itself alone
    source: Mapped[str] = mapped_column(Text, default="")
    licence: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    deleted_at: Mapped[datetime | None]


class Job(Base):
    """A training job: what was asked, how it was resolved, who holds it, how it stands."""

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_state_lease", "state", "lease_expires_at"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"), index=True)
    spec: Mapped[dict[str, Any]]
    config: Mapped[dict[str, Any]]
    reasons: Mapped[dict[str, Any]]
    estimate: Mapped[dict[str, Any]]
    hidden_dims: Mapped[str] = mapped_column(String(200), index=True)
    obs_dim: Mapped[int] = mapped_column(BigInteger)
    tier: Mapped[str] = mapped_column(String(20), index=True)
    queue: Mapped[str] = mapped_column(String(60))
    predicted_bytes: Mapped[int] = mapped_column(BigInteger)

    state: Mapped[str] = mapped_column(String(20))
    desired: Mapped[str] = mapped_column(String(20), default="run")
    attempt: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int] = mapped_column(default=3)
    fence: Mapped[int] = mapped_column(BigInteger, default=0)
    lease_expires_at: Mapped[float | None]
    last_event: Mapped[int] = mapped_column(BigInteger, default=0)

    progress: Mapped[dict[str, Any]] = mapped_column(default=dict)
    result: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    resume_from: Mapped[str | None] = mapped_column(String(40))
    walk_forward: Mapped[str | None] = mapped_column(String(60), index=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class JobDataset(Base):
    """A dataset that a job trains on; `Job.dataset_id` is the one at position 0."""

    __tablename__ = "job_datasets"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"), index=True)


class Attempt(Base):
    """One worker's try at a job, and why it ended."""

    __tablename__ = "attempts"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    fence: Mapped[int] = mapped_column(BigInteger)
    worker: Mapped[str] = mapped_column(String(200))
    resumed_from: Mapped[str | None] = mapped_column(String(40))
    started_at: Mapped[datetime] = mapped_column(default=utc_now)
    heartbeat_at: Mapped[datetime] = mapped_column(default=utc_now)
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(Text, default="")


class Event(Base):
    """Something that happened to a job; `seq` counts without holes and is the SSE id."""

    __tablename__ = "events"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    attempt: Mapped[int]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Metric(Base):
    """One measured value of a training run at one step."""

    __tablename__ = "metrics"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    step: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    value: Mapped[float]


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


class Opening(Base):
    """A run's look at a test span; made before the look, once for each run and dataset."""

    __tablename__ = "openings"
    __table_args__ = (UniqueConstraint("job_id", "dataset_id"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"))
    dataset_sha256: Mapped[str] = mapped_column(String(64), index=True)
    first_row: Mapped[int] = mapped_column(BigInteger)
    stop_row: Mapped[int] = mapped_column(BigInteger)
    opened_at: Mapped[datetime] = mapped_column(default=utc_now)


class JobEvaluation(Base):
    """How a job's policy was judged on one dataset; bar-by-bar returns and the chart lie in the storage."""

    __tablename__ = "evaluations"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"), primary_key=True)
    place: Mapped[int]
    opening: Mapped[int]
    deflated_sharpe: Mapped[float | None]
    beats_holding: Mapped[bool | None]
    looks_overfitted: Mapped[bool]
    document: Mapped[dict[str, Any]]
    curves: Mapped[list[Any]]
    returns_sha256: Mapped[str] = mapped_column(String(64))
    chart_sha256: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class SpanFigures(Base):
    """The main figures of an evaluation on one span, to sort and filter by."""

    __tablename__ = "evaluation_spans"
    __table_args__ = (
        ForeignKeyConstraint(
            ["job_id", "dataset_id"], ["evaluations.job_id", "evaluations.dataset_id"], ondelete="CASCADE"
        ),
    )

    job_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    dataset_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    span: Mapped[str] = mapped_column(String(20), primary_key=True)
    first_bar: Mapped[datetime]
    last_bar: Mapped[datetime]
    periods: Mapped[int] = mapped_column(BigInteger)
    total_return: Mapped[float]
    cagr: Mapped[float | None]
    volatility: Mapped[float | None]
    sharpe: Mapped[float | None]
    sharpe_low: Mapped[float | None]
    sharpe_high: Mapped[float | None]
    sortino: Mapped[float | None]
    max_drawdown: Mapped[float]
    calmar: Mapped[float | None]
    turnover: Mapped[float]
    cost_paid: Mapped[float]
    exposure: Mapped[float]
    hit_rate: Mapped[float | None]
    trades: Mapped[int] = mapped_column(BigInteger)
    sharpe_per_bar: Mapped[float | None]
    excess_per_year: Mapped[float]
    excess_low: Mapped[float]
    excess_high: Mapped[float]


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


class Message(Base):
    """The outbox: a wake-up that the workers should get, written in the job's own transaction."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    fence: Mapped[int] = mapped_column(BigInteger)
    queue: Mapped[str] = mapped_column(String(60))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Worker(Base):
    """A worker that consumes a tier's queue; its own consumer loop renews `seen_at`."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(200), primary_key=True)
    queue: Mapped[str] = mapped_column(String(60), index=True)
    tier: Mapped[str] = mapped_column(String(20))
    device: Mapped[dict[str, Any]]
    versions: Mapped[dict[str, Any]]
    started_at: Mapped[datetime] = mapped_column(default=utc_now)
    seen_at: Mapped[float]


class Idempotency(Base):
    """What an Idempotency-Key made, so that the same request gives the same answer."""

    __tablename__ = "idempotency"

    scope: Mapped[str] = mapped_column(String(60), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    body_sha256: Mapped[str] = mapped_column(String(64))
    resource_id: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
