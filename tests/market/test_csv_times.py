"""Times as exporters write them: each spelling gives the same bars, what is unclear is refused."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from tests.market.dialects import COUNT, HOURS, UTC_24X7, csv, is_read, iso, ohlcv, refused


@pytest.mark.parametrize(
    "factor", [1, 10**3, 10**6, 10**9], ids=["seconds", "milliseconds", "microseconds", "nanoseconds"]
)
def test_epochs_of_every_unit_need_no_time_zone(factor: int) -> None:
    is_read(csv("time,open,high,low,close,volume", lambda t: [int(HOURS[t].timestamp()) * factor, *ohlcv(t)]))


def test_epochs_that_change_from_seconds_to_milliseconds_midway() -> None:
    def cells(t: int) -> list[object]:
        return [int(HOURS[t].timestamp()) * (1000 if t > 300 else 1), *ohlcv(t)]

    is_read(csv("unix,open,high,low,close,volume", cells))


def test_epochs_with_a_fraction_or_exponent() -> None:
    is_read(csv("time,open,high,low,close,volume", lambda t: [f"{HOURS[t].timestamp():.1f}", *ohlcv(t)]))
    is_read(
        csv("time,open,high,low,close,volume", lambda t: [f"{HOURS[t].timestamp() * 1000:.9e}", *ohlcv(t)])
    )


def test_row_numbers_and_excel_days_are_no_epochs() -> None:
    for first in (0, 43_000):
        found = refused(csv("time,open,high,low,close,volume", lambda t, first=first: [first + t, *ohlcv(t)]))
        assert (found["code"], found["count"]) == ("E_COLUMNS", COUNT)


@pytest.mark.parametrize(
    "form",
    [
        "%d.%m.%Y %H:%M:%S",
        "%d/%m/%Y %H:%M",
        "%d-%m-%Y %H:%M",
        "%d.%m.%y %H:%M",
        "%d.%m.%Y %H:%M:%S.000",
        "%d-%b-%Y %H:%M",
        "%d %B %Y %H:%M",
    ],
)
def test_day_first_dates(form: str) -> None:
    is_read(
        csv("Date,Open,High,Low,Close,Volume", lambda t: [HOURS[t].strftime(form), *ohlcv(t)]), timezone="UTC"
    )


@pytest.mark.parametrize(
    "form", ["%m/%d/%Y %H:%M", "%m/%d/%y %H:%M", "%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p"]
)
def test_month_first_dates(form: str) -> None:
    is_read(
        csv("Date,Open,High,Low,Close,Volume", lambda t: [HOURS[t].strftime(form), *ohlcv(t)]), timezone="UTC"
    )


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M:%S",
        "%Y/%m/%d %H:%M",
        "%Y.%m.%d %H:%M",
        "%Y%m%d %H%M%S",
        "%Y%m%d %H:%M",
        "%Y-%m-%d %I-%p",
        "%Y-%m-%d %H:%M:%S.000000",
    ],
)
def test_year_first_dates(form: str) -> None:
    is_read(
        csv("Date,Open,High,Low,Close,Volume", lambda t: [HOURS[t].strftime(form), *ohlcv(t)]), timezone="UTC"
    )


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%dT%H:%M:%SZ",
        "%Y-%m-%d %H:%M:%S+00:00",
        "%Y-%m-%dT%H:%M:%S.000+0000",
        "%Y-%m-%d %H:%M:%S UTC+00",
    ],
)
def test_times_with_their_zone_need_no_declaration(form: str) -> None:
    is_read(csv("Date,Open,High,Low,Close,Volume", lambda t: [HOURS[t].strftime(form), *ohlcv(t)]))


def two_days(form: str, first: datetime) -> bytes:
    times = [first + timedelta(minutes=5 * t) for t in range(COUNT)]
    return csv("Date,Open,High,Low,Close,Volume", lambda t: [times[t].strftime(form), *ohlcv(t)])


def test_day_and_month_both_small_are_told_apart_by_the_steps_between_dates() -> None:
    first = datetime(2018, 4, 3, tzinfo=UTC)
    times = [first + timedelta(minutes=5 * t) for t in range(COUNT)]
    for form in ("%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M"):  # 3 to 5 April, never 4 March to 4 May
        is_read(two_days(form, first), times=times, timezone="UTC")


def test_a_single_date_is_truly_ambiguous_until_it_is_declared() -> None:
    minutes = [datetime(2018, 4, 3, tzinfo=UTC) + timedelta(minutes=t) for t in range(COUNT)]
    data = csv(
        "Date,Open,High,Low,Close,Volume", lambda t: [minutes[t].strftime("%d/%m/%Y %H:%M"), *ohlcv(t)]
    )
    found = refused(data, timezone="UTC")
    assert (found["code"], found["rows"], found["count"]) == ("E_DATE_AMBIGUOUS", [1, 2, 3, 4, 5], COUNT)
    is_read(data, times=minutes, timezone="UTC", date_order="dmy")


def test_two_digit_years_are_ambiguous_only_where_no_order_fits_alone() -> None:
    minutes = [datetime(2018, 4, 3, tzinfo=UTC) + timedelta(minutes=t) for t in range(COUNT)]
    data = csv(
        "Date,Open,High,Low,Close,Volume", lambda t: [minutes[t].strftime("%y-%m-%d %H:%M"), *ohlcv(t)]
    )
    assert refused(data, timezone="UTC")["code"] == "E_DATE_AMBIGUOUS"
    is_read(data, times=minutes, timezone="UTC", date_order="ymd")


def test_an_hour_that_summer_time_repeats_is_told_by_the_order_of_the_rows() -> None:
    first = datetime(2018, 10, 20, tzinfo=UTC)
    times = [first + timedelta(hours=t) for t in range(COUNT)]
    stamps = pl.Series(times).dt.convert_time_zone("Europe/Berlin").dt.strftime("%Y-%m-%d %H:%M")
    data = csv("Date,Open,High,Low,Close,Volume", lambda t: [stamps[t], *ohlcv(t)])
    is_read(data, times=times, timezone="Europe/Berlin")
    backwards = csv(
        "Date,Open,High,Low,Close,Volume", lambda t: [stamps[t], *ohlcv(t)], rows=range(COUNT - 1, -1, -1)
    )
    is_read(backwards, times=times, timezone="Europe/Berlin", reverse=True)


def test_a_repeated_hour_that_stands_there_once_stays_ambiguous() -> None:
    first = datetime(2018, 10, 20, tzinfo=UTC)
    times = [first + timedelta(hours=t) for t in range(COUNT) if t != 193]
    stamps = pl.Series(times).dt.convert_time_zone("Europe/Berlin").dt.strftime("%Y-%m-%d %H:%M")
    data = csv("Date,Open,High,Low,Close,Volume", lambda t: [stamps[t], *ohlcv(t)], rows=range(COUNT - 1))
    assert refused(data, timezone="Europe/Berlin")["code"] == "E_DATE_AMBIGUOUS"


def test_a_column_that_names_its_zone_needs_no_declaration() -> None:
    for name in ("Gmt time", "Time (UTC)", "timestamp_utc", "Date(UTC)"):
        is_read(csv(f"{name},Open,High,Low,Close,Volume", lambda t: [iso(t), *ohlcv(t)]))
    found = refused(csv("Time (EET),Open,High,Low,Close,Volume", lambda t: [iso(t), *ohlcv(t)]))
    assert found["code"] == "E_TZ_NAIVE"


def test_descending_files_are_reversed_on_request_only() -> None:
    data = csv(
        "Date,Open,High,Low,Close,Volume", lambda t: [iso(t), *ohlcv(t)], rows=range(COUNT - 1, -1, -1)
    )
    assert refused(data, **UTC_24X7)["code"] == "E_UNSORTED"
    is_read(data, timezone="UTC", reverse=True)
