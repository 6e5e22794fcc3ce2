"""Which pauses are gaps, calendar by calendar."""

import numpy as np
import pytest

from app.errors import InvalidInput
from app.market.calendars import CALENDARS, calendar_named, find_gaps

HOUR, DAY = 3_600, 86_400


def is_gap(calendar: str, bar: int, before: str, after: str) -> bool:
    stamps = np.array([before, after], dtype="datetime64[us]").astype(np.int64)
    first, second = find_gaps(stamps, bar, CALENDARS[calendar])
    assert not first
    return bool(second)


@pytest.mark.parametrize(
    ("calendar", "bar", "before", "after", "gap"),
    [
        ("24x7", HOUR, "2021-01-01T10", "2021-01-01T11", False),
        ("24x7", HOUR, "2021-01-01T10", "2021-01-01T12", True),
        ("24x5", HOUR, "2017-01-06T21", "2017-01-08T22", False),  # a weekend
        ("24x5", HOUR, "2017-04-13T20", "2017-04-16T22", False),  # Good Friday and the weekend
        ("24x5", HOUR, "2017-01-06T21", "2017-01-15T22", True),  # a week and two weekends
        ("24x5", HOUR, "2017-01-04T10", "2017-01-04T12", True),  # a missing hour on a Wednesday
        ("24x5", HOUR, "2018-12-24T18", "2018-12-26T05", False),  # Christmas
        ("24x5", HOUR, "2018-12-31T21", "2019-01-01T22", False),  # New Year
        ("24x5", HOUR, "2018-08-24T18", "2018-08-26T23", False),
        ("24x5", HOUR, "2018-06-25T18", "2018-06-26T05", True),  # the 25th of another month
        ("24x5", DAY, "2017-01-06", "2017-01-09", False),
        ("XNYS", DAY, "2012-10-26", "2012-10-31", False),  # hurricane Sandy: 5 days
        ("XNYS", DAY, "2001-09-10", "2001-09-17", True),
        ("XNYS", HOUR, "2017-01-06T15:30", "2017-01-09T09:30", False),
        ("XNYS", HOUR, "2017-01-06T10:30", "2017-01-06T12:30", True),
        ("XTKS", DAY, "2019-04-26", "2019-05-07", False),  # the long Golden Week
        ("XNYS", 7 * DAY, "2017-01-02", "2017-01-09", False),
        ("XNYS", 7 * DAY, "2017-01-02", "2017-01-16", True),
    ],
)
def test_pauses(calendar: str, bar: int, before: str, after: str, gap: bool) -> None:
    assert is_gap(calendar, bar, before, after) is gap


@pytest.mark.parametrize(
    ("calendar", "bar", "periods"),
    [
        ("24x7", DAY, 365.25),
        ("24x7", HOUR, 365.25 * 24),
        ("24x7", 60, 365.25 * 1440),
        ("24x5", HOUR, 260 * 24),
        ("XNYS", DAY, 252),
        ("XNYS", HOUR, 252 * 7),  # six whole hours and a half one
        ("XNYS", 60, 252 * 390),
        ("XNYS", 7 * DAY, 365.25 / 7),
    ],
)
def test_periods_per_year(calendar: str, bar: int, periods: float) -> None:
    assert CALENDARS[calendar].periods_per_year(bar) == pytest.approx(periods)


def test_unknown_calendar_names_the_known_ones() -> None:
    with pytest.raises(InvalidInput) as caught:
        calendar_named("NYSE")
    assert "XNYS" in caught.value.hint
