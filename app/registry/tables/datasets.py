"""Datasets: bars by their content, with their report."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.registry.tables.base import Base, utc_now


class Dataset(Base):
    """Validated bars; the bytes lie in the storage under `sha256`."""

    __tablename__ = "datasets"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), index=True)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    file_sha256: Mapped[str] = mapped_column(String(64), index=True)
    bytes: Mapped[int | None] = mapped_column(BigInteger)
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
    key_id: Mapped[str | None] = mapped_column(String(40), index=True)
