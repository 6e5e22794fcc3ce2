"""Jobs and what they leave behind: datasets used, attempts, events, metrics, wake-ups; workers; shares; idempotency keys."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.jobs.protocol import MESSAGE_VERSION, PLAN_VERSION
from app.registry.tables.base import Base, utc_now


class Job(Base):
    """A training job: what was asked, how it was resolved, who holds it, how it stands."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_state_lease", "state", "lease_expires_at"),
        Index("ix_jobs_state_id", "state", "id"),
        Index("ix_jobs_state_queue", "state", "queue"),  # looked through at each claim
        Index("ix_jobs_priority_id", "priority", "id"),
        Index("ix_jobs_state_tier", "state", "tier"),  # counted at each scrape of /metrics
        Index("ix_jobs_tidied_ended_at", "tidied", "ended_at"),
        Index("ix_jobs_hidden_dims_id", "hidden_dims", "id"),
        Index("ix_jobs_obs_dim_id", "obs_dim", "id"),
        Index("ix_jobs_tier_id", "tier", "id"),
        Index("ix_jobs_id_name", "id", "name"),  # all that a search for a part of a name looks at
        Index("ix_jobs_key_id_state", "key_id", "state"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"), index=True)
    spec: Mapped[dict[str, Any]]
    config: Mapped[dict[str, Any]]
    reasons: Mapped[dict[str, Any]]
    estimate: Mapped[dict[str, Any]]
    hidden_dims: Mapped[str] = mapped_column(String(200))
    obs_dim: Mapped[int] = mapped_column(BigInteger)
    tier: Mapped[str] = mapped_column(String(20))
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
    tidied: Mapped[int] = mapped_column(default=0, server_default="0")
    """What was let go since it ended: 0 nothing, 1 points between those that are kept, 2 its log too."""
    priority: Mapped[int] = mapped_column(default=0, server_default="0")
    """Higher is taken first."""
    queued_at: Mapped[datetime | None] = mapped_column(default=utc_now)
    """When its user queued it, by submitting or resuming it; None where an older release did: then `created_at`."""
    plan_version: Mapped[int] = mapped_column(default=PLAN_VERSION, server_default="1")
    """Version of the plan in `config`."""
    max_seconds: Mapped[float | None]
    """How long workers may hold it since its user queued it; None for no limit."""
    used_seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")
    """How long ended attempts have held it since then."""
    key_id: Mapped[str | None] = mapped_column(String(40))
    """The API key that submitted it; None where keys were off."""
    request_id: Mapped[str | None] = mapped_column(String(64))
    """The id of the request that submitted it: what the log lines of all processes about it carry."""


class JobDataset(Base):
    """A dataset that a job trains on; `Job.dataset_id` is the one at position 0."""

    __tablename__ = "job_datasets"
    # A job names a dataset once: lists by dataset join on this without doubling a row.
    __table_args__ = (Index("ix_job_datasets_dataset_id", "dataset_id", "job_id", unique=True),)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"))


class JobMetric(Base):
    """A number that was measured of a succeeded job's policy, under its path, such as `test.sharpe`."""

    __tablename__ = "job_metrics"
    # Holds all that a filter looks at, in the order of a list: no row is read for what does not match.
    __table_args__ = (Index("ix_job_metrics_name", "name", "job_id", "value"),)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    value: Mapped[float]


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
    outcome: Mapped[str | None] = mapped_column(String(20), index=True)
    reason: Mapped[str] = mapped_column(Text, default="")
    claimed_at: Mapped[float | None]
    """When it began, by the database's clock; None where an older worker claimed the job."""
    deadline_at: Mapped[float | None]
    """When it must end, by the database's clock; None for no limit."""
    versions: Mapped[dict[str, Any] | None]
    """What ran it, the commit of Caliper's source among it; None before its trainer said so, or of an older worker."""


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
    queues: Mapped[list[Any] | None]
    """All queues that it takes jobs from, `queue` first; None for an older worker, which has that one."""
    protocol: Mapped[int] = mapped_column(default=MESSAGE_VERSION, server_default="1")
    """The newest messages that it understands."""
    plan_version: Mapped[int] = mapped_column(default=PLAN_VERSION, server_default="1")
    """The newest plans that it reads."""
    drain: Mapped[str | None] = mapped_column(String(10))
    """Set where it is to leave: once its job is `done`, or `now`."""
    left_at: Mapped[float | None]
    """When it left, by the database's clock; its row says until when the tier had a worker."""


class Consumption(Base):
    """When a worker last took a message from a queue, by the database's clock: the proof that it consumes it."""

    __tablename__ = "consumptions"

    queue: Mapped[str] = mapped_column(String(60), primary_key=True)
    worker_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    consumed_at: Mapped[float]


class Share(Base):
    """How much of a tier's time a key has used lately, in the units of `app.jobs.fair_share.weigh`."""

    __tablename__ = "shares"

    queue: Mapped[str] = mapped_column(String(60), primary_key=True)
    key: Mapped[str] = mapped_column(String(40), primary_key=True)
    """The API key; empty for jobs that were submitted while keys were off."""
    used: Mapped[float]


class Idempotency(Base):
    """What an Idempotency-Key made, so that the same request gives the same answer."""

    __tablename__ = "idempotency"

    scope: Mapped[str] = mapped_column(String(60), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    body_sha256: Mapped[str] = mapped_column(String(64))
    resource_id: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
