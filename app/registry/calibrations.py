"""Calibrations: add, find by id or device, list."""

from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.registry.tables import Calibration


def add_calibration(session: Session, row: Calibration) -> Calibration:
    """Keep a measurement beside the earlier ones of its device."""
    session.add(row)
    session.flush()
    return row


def find_calibration(session: Session, id_or_device: str) -> Calibration:
    """The calibration with this id, or the one of this device that was measured last; NotFound where there is none."""
    match = or_(Calibration.id == id_or_device, Calibration.device == id_or_device)
    newest = select(Calibration).where(match).order_by(Calibration.measured_at.desc(), Calibration.id.desc())
    row = session.scalars(newest.limit(1)).one_or_none()
    if row is None:
        hint = "GET /calibrations lists them; `caliper calibrate` on the device makes one"
        raise NotFound(f"there is no calibration {id_or_device!r}", hint=hint, pointer="calibration")
    return row


def latest_calibration(session: Session, devices: Sequence[str]) -> Calibration | None:
    """The one measured last on any of these devices; None where none was."""
    newest = select(Calibration).where(Calibration.device.in_(devices))
    return session.scalars(
        newest.order_by(Calibration.measured_at.desc(), Calibration.id.desc()).limit(1)
    ).first()


def find_twin(session: Session, row: Calibration) -> Calibration | None:
    """The same measurement, where it is there already: a repeated request makes no second row."""
    same = (Calibration.device == row.device, Calibration.measured_at == row.measured_at)
    return session.scalars(select(Calibration).where(*same).limit(1)).one_or_none()


def list_calibrations(
    session: Session, *, limit: int, before: str | None = None, device: str | None = None
) -> Sequence[Calibration]:
    """The newest entries first, at most `limit`, older than the id `before`; of one device where it is given."""
    query = select(Calibration).order_by(Calibration.id.desc()).limit(limit)
    query = query.where(Calibration.id < before) if before else query
    return session.scalars(query.where(Calibration.device == device) if device else query).all()
