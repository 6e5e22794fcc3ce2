"""A calibration that `caliper calibrate --output` wrote, read back and checked."""

from pathlib import Path

from app.errors import InvalidInput
from app.network.timing.calibration import Calibration
from app.network.timing.calibration_check import check_calibration

MOST_BYTES = 8 << 20
"""A calibration has some tens of kilobytes."""


def read_calibration_file(file: Path) -> Calibration:
    """The calibration in this file; raises InvalidInput for anything else, OSError where there is none."""
    # pydantic takes longer to load than `caliper --help` may take in all.
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415

    with file.open("rb") as opened:
        content = opened.read(MOST_BYTES + 1)
    hint = "a file that `caliper calibrate --output` wrote"
    if len(content) > MOST_BYTES:
        raise InvalidInput(f"{file} is too large for a calibration", hint=hint, pointer="--calibration")
    try:
        return check_calibration(TypeAdapter(Calibration).validate_json(content))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "/".join(str(part) for part in first["loc"])
        detail = f"{file} is no calibration: {place} {first['msg']}".replace("  ", " ")
        raise InvalidInput(detail, hint=hint, pointer="--calibration") from error
