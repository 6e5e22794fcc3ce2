"""What policies were worth, and each opening of a test span."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, ForeignKeyConstraint, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.registry.tables.base import Base, utc_now


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
    returns_sha256: Mapped[str] = mapped_column(String(64), index=True)
    chart_sha256: Mapped[str | None] = mapped_column(String(64), index=True)
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
