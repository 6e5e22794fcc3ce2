"""How a calibration is shown."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from app.actions.keep_calibration import read_calibration
from app.api.parameters import documented_like
from app.api.rows import view_row
from app.network.shape import DOCUMENTED
from app.network.timing.calibration import Calibration
from app.registry.tables import Calibration as Row


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationView:
    """A device's measurement, without its numbers."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    id: str
    """Its id."""
    device: str
    """Name of the device."""
    device_type: str
    """`cpu` or `cuda`."""
    threads: int
    """Threads that torch used on the host."""
    versions: dict[str, str]
    """torch, CUDA, driver, and Caliper itself."""
    loaded: bool
    """Whether other work disturbed the measurement."""
    measured_at: datetime
    """When it was measured; of one device the latest counts."""
    created_at: datetime
    """When it was registered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationDetail(CalibrationView):
    """A device's measurement with all its numbers."""

    __pydantic_config__: ClassVar[dict[str, Any]] = documented_like(CalibrationView)

    measured: Calibration
    """What was measured."""


def view_calibration(row: Row) -> CalibrationView:
    """A calibration as a list shows it."""
    return view_row(row, CalibrationView)


def detail_calibration(row: Row) -> CalibrationDetail:
    """All of one calibration."""
    return view_row(row, CalibrationDetail, measured=read_calibration(row))
