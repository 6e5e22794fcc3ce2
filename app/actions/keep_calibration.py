"""Take a calibration that a worker's machine has measured."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from app.errors import InvalidInput
from app.network.timing.calibration import Calibration
from app.network.timing.calibration_check import check_calibration
from app.registry.calibrations import add_calibration, find_twin
from app.registry.database import Database, new_id
from app.registry.tables import Calibration as Row

MOST_AHEAD = timedelta(minutes=10)
"""How far another machine's clock may be ahead of this one's."""

_MEASURED: TypeAdapter[Calibration] = TypeAdapter(Calibration)


def keep_calibration(database: Database, calibration: Calibration) -> Row:
    """Register a calibration; the same one again gives the row that is there.

    Raises InvalidInput for numbers that no measurement gives, for processor seconds and for a moment to come.
    """
    check_calibration(calibration)
    if calibration.clock != "wall":
        raise InvalidInput(
            "the calibration counts processor seconds, jobs take time",
            hint="calibrate by the wall clock",
            pointer="clock",
        )
    if calibration.measured_at > datetime.now(UTC) + MOST_AHEAD:
        hint = "compare the clocks of both machines"
        raise InvalidInput(
            f"measured_at is {calibration.measured_at}, still to come", hint=hint, pointer="measured_at"
        )
    row = _describe(calibration)
    with database.write() as session:
        return find_twin(session, row) or add_calibration(session, row)


def read_calibration(row: Row) -> Calibration:
    """The calibration that a row keeps."""
    return _MEASURED.validate_python(row.measured)


def plain_calibration(calibration: Calibration) -> dict[str, Any]:
    """A calibration as JSON shows it."""
    plain: dict[str, Any] = _MEASURED.dump_python(calibration, mode="json")
    return plain


def _describe(calibration: Calibration) -> Row:
    return Row(
        id=new_id("calibration"),
        device=calibration.device,
        device_type=calibration.device_type,
        threads=calibration.threads,
        versions=calibration.versions,
        loaded=calibration.load.loaded,
        measured=plain_calibration(calibration),
        measured_at=calibration.measured_at.astimezone(UTC),
    )
