"""Timestamps in every spelling that real files use."""

from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.market.declarations import Declarations
from app.market.findings import Findings
from app.market.timestamps import parse_timestamps, to_local, to_session_time


def parse(values: list, **declared: Any) -> tuple[list[str] | None, list[str]]:
    findings = Findings()
    stamps = parse_timestamps(pl.DataFrame({"timestamp": values}), Declarations(**declared), findings)
    text = (
        None if stamps is None else [str(s) for s in stamps.astype("datetime64[us]").astype("datetime64[s]")]
    )
    return text, [finding.code for finding in findings.found]


@pytest.mark.parametrize(
    ("value", "declared", "utc"),
    [
        ("2017-04-03T10:00:00Z", {}, "2017-04-03T10:00:00"),
        ("2017-04-03 10:00:00+02:00", {}, "2017-04-03T08:00:00"),
        ("2017-04-03 10:00-0530", {}, "2017-04-03T15:30:00"),
        ("03.04.2017 10:00:00.000 GMT+0100", {"date_order": "dmy"}, "2017-04-03T09:00:00"),
        ("2017-04-03 10:00", {"timezone": "Europe/Berlin"}, "2017-04-03T08:00:00"),
        ("2017-01-03 10:00", {"timezone": "Europe/Berlin"}, "2017-01-03T09:00:00"),
        ("2017/4/3 9:05:01", {"timezone": "UTC"}, "2017-04-03T09:05:01"),
        ("2017-04-03", {"calendar": "XNYS"}, "2017-04-03T04:00:00"),
        ("2017-04-03", {"calendar": "XNYS", "timezone": "UTC"}, "2017-04-03T00:00:00"),
        ("20170403", {"timezone": "UTC"}, "2017-04-03T00:00:00"),
        ("20170403 10:30", {"timezone": "UTC"}, "2017-04-03T10:30:00"),
        (20170403, {"timezone": "UTC"}, "2017-04-03T00:00:00"),
        (1491213600, {}, "2017-04-03T10:00:00"),
        (1491213600000, {}, "2017-04-03T10:00:00"),
        (1491213600000000, {}, "2017-04-03T10:00:00"),
        (1491213600000000000, {}, "2017-04-03T10:00:00"),
        ("1491213600", {}, "2017-04-03T10:00:00"),
        (1491213600.0, {}, "2017-04-03T10:00:00"),
    ],
)
def test_spellings(value: Any, declared: Any, utc: str) -> None:
    assert parse([value], **declared) == ([utc], [])


def test_day_first_dates_prove_themselves() -> None:
    assert parse(["03.04.2017", "30.04.2017"], timezone="UTC")[0] == [
        "2017-04-03T00:00:00",
        "2017-04-30T00:00:00",
    ]


def test_month_first_dates_prove_themselves() -> None:
    assert parse(["4/3/2017", "4/30/2017"], timezone="UTC")[0] == [
        "2017-04-03T00:00:00",
        "2017-04-30T00:00:00",
    ]


def test_dates_that_do_not_prove_their_order_are_ambiguous() -> None:
    assert parse(["03.04.2017", "03.04.2017"], timezone="UTC") == (None, ["E_DATE_AMBIGUOUS"])
    assert parse(["03.04.2017", "05.06.2017"], timezone="UTC") == (None, ["E_DATE_AMBIGUOUS"])


def test_dates_a_day_apart_in_one_order_and_a_month_in_the_other_are_days_apart() -> None:
    assert parse(["03.04.2017", "04.04.2017"], timezone="UTC")[0] == [
        "2017-04-03T00:00:00",
        "2017-04-04T00:00:00",
    ]


def test_dates_that_contradict_each_other_are_ambiguous() -> None:
    assert parse(["30.04.2017", "04.30.2017"], timezone="UTC") == (None, ["E_DATE_AMBIGUOUS"])


def test_local_hours_that_daylight_saving_skips_or_repeats_are_ambiguous() -> None:
    for value in ("2017-03-26 02:30", "2017-10-29 02:30"):
        assert parse([value], timezone="Europe/Berlin")[1] == ["E_DATE_AMBIGUOUS"]


@pytest.mark.parametrize("value", ["2017-02-30", "2017-13-01", "2017-01-01 24:01", "yesterday", "", None])
def test_what_is_no_time_is_refused(value: Any) -> None:
    assert parse(["2017-01-01", value], timezone="UTC") == (None, ["E_COLUMNS"])


def test_naive_timestamps_need_a_declaration() -> None:
    assert parse(["2017-04-03 10:00"]) == (None, ["E_TZ_NAIVE"])
    assert parse(["2017-04-03 10:00"], calendar="XNYS") == (None, ["E_TZ_NAIVE"])
    assert parse(["2017-04-03"]) == (None, ["E_TZ_NAIVE"])


def test_booleans_are_no_times() -> None:
    assert parse([True]) == (None, ["E_COLUMNS"])


@given(st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)), min_size=1, max_size=5))  # noqa: DTZ001
def test_text_and_typed_columns_agree(moments: list[datetime]) -> None:
    typed = pl.Series(moments, dtype=pl.Datetime("us"))
    text = [moment.isoformat(sep=" ") for moment in moments]
    assert parse(text, timezone="UTC") == parse(list(typed), timezone="UTC")


def test_local_time_follows_daylight_saving() -> None:
    utc = np.array(["2017-01-03T12:00", "2017-07-03T12:00"], dtype="datetime64[us]").astype(np.int64)
    local = to_local(utc, "America/New_York").astype("datetime64[us]").astype("datetime64[h]")
    assert [str(hour) for hour in local] == ["2017-01-03T07", "2017-07-03T08"]


def test_daily_bars_stamped_at_midnight_utc_keep_their_dates() -> None:
    utc = np.array(["2017-01-03", "2017-07-03"], dtype="datetime64[us]").astype(np.int64)
    assert (to_session_time(utc, "America/New_York", 86_400) == utc).all()
    assert (to_session_time(utc, "America/New_York", 3_600) != utc).all()
