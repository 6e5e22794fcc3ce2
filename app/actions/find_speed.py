"""How fast the device of a tier is known to be: by a calibration of a live worker's device, else by a card's name."""

from dataclasses import dataclass

from app.actions.keep_calibration import read_calibration
from app.network.tiers import Tier
from app.network.timing.calibration import Calibration
from app.registry.calibrations import latest_calibration
from app.registry.database import Session
from app.registry.workers import live_workers


@dataclass(frozen=True, slots=True)
class Speed:
    """What a job's time is predicted by."""

    calibration: Calibration | None
    """The latest of any live worker of the tier; None where none of their devices was calibrated."""
    gpu: str
    """The card whose data sheet gives bounds without one."""


def find_speed(session: Session, tier: Tier, lease_seconds: float) -> Speed:
    """The speed of the tier's live workers."""
    devices = [worker.device for worker in live_workers(session, lease_seconds) if worker.tier == tier.name]
    names = [str(device["measured_as"]) for device in devices if "measured_as" in device]
    row = latest_calibration(session, names) if names else None
    card = next((str(device.get("name", "")) for device in devices), tier.smallest_card)
    return Speed(read_calibration(row) if row else None, card)
