"""Calibrations: what devices were measured to do, each measurement a row, so that the history stays."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.registry.tables.base import Base, utc_now


class Calibration(Base):
    """A device at one moment; of one device the row measured last is the one that counts."""

    __tablename__ = "calibrations"
    __table_args__ = (Index("ix_calibrations_device_measured_at", "device", "measured_at"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    device: Mapped[str] = mapped_column(String(200))
    device_type: Mapped[str] = mapped_column(String(20))
    threads: Mapped[int]
    versions: Mapped[dict[str, Any]]
    loaded: Mapped[bool]
    measured: Mapped[dict[str, Any]]
    measured_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
