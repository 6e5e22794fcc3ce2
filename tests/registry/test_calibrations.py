"""Calibrations in the registry: the latest of a device counts, all of them stay."""

from datetime import timedelta, timezone

import pytest
from calibrations import calibration

from app.actions.keep_calibration import keep_calibration, read_calibration
from app.errors import InvalidInput, NotFound
from app.registry.calibrations import find_calibration, latest_calibration, list_calibrations
from app.registry.database import Database
from app.registry.tables import utc_now

MADE = calibration()


def test_a_calibration_is_read_back_as_it_was(database: Database) -> None:
    row = keep_calibration(database, MADE)
    with database.read() as session:
        found = find_calibration(session, row.id)
    assert read_calibration(found) == MADE
    assert (found.device, found.threads, found.loaded) == (MADE.device, 1, False)


def test_the_one_measured_last_counts_whenever_it_arrives(database: Database) -> None:
    newer = calibration(measured_at=MADE.measured_at + timedelta(hours=1))
    other = calibration(device="other")
    latest = keep_calibration(database, newer)
    keep_calibration(database, MADE)
    keep_calibration(database, other)
    with database.read() as session:
        assert find_calibration(session, MADE.device).id == latest.id
        found = latest_calibration(session, [MADE.device, "absent"])
        assert found is not None
        assert found.id == latest.id
        assert latest_calibration(session, ["absent"]) is None
        assert len(list_calibrations(session, limit=9)) == 3
        assert len(list_calibrations(session, limit=9, device=MADE.device)) == 2


def test_another_zone_s_clock_is_compared_as_time(database: Database) -> None:
    # 13:30 in the east is half an hour before noon in UTC.
    east = MADE.measured_at.replace(hour=13, minute=30, tzinfo=timezone(timedelta(hours=2)))
    keep_calibration(database, calibration(measured_at=east))
    latest = keep_calibration(database, MADE)
    with database.read() as session:
        assert find_calibration(session, MADE.device).id == latest.id


def test_the_same_measurement_makes_no_second_row(database: Database) -> None:
    first = keep_calibration(database, MADE)
    assert keep_calibration(database, MADE).id == first.id


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"clock": "processor"}, "clock"),
        ({"measured_at": utc_now() + timedelta(days=1)}, "measured_at"),
        ({"device": ""}, "device"),
    ],
)
def test_what_would_mislead_is_refused(database: Database, changes: dict[str, object], pointer: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        keep_calibration(database, calibration(**changes))
    assert caught.value.pointer == pointer


def test_an_unknown_one_is_not_found(database: Database) -> None:
    with database.read() as session, pytest.raises(NotFound, match="no calibration"):
        find_calibration(session, "absent")
