"""How numbers, sizes and times are written."""

from datetime import UTC, datetime

import pytest

from app.ui import figures
from app.ui.figures import NOTHING, THIN


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, NOTHING),
        (0, f"0{THIN}B"),
        (999, f"999{THIN}B"),
        (1_000, f"1.00{THIN}kB"),
        (34_764_905, f"34.8{THIN}MB"),
        (999_960, f"1.00{THIN}MB"),
        (163_752_721, f"163.8{THIN}MB"),
        (84_900_000_000, f"84.9{THIN}GB"),
        (1 << 50, f"1.13{THIN}PB"),
    ],
)
def test_sizes_are_decimal(value: int | None, expected: str) -> None:
    assert figures.size(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, NOTHING),
        (0.25, f"0.2{THIN}s"),
        (59.4, f"59{THIN}s"),
        (61, f"1{THIN}min 1{THIN}s"),
        (3_600, f"1{THIN}h 0{THIN}min"),
        (90_061, f"1{THIN}d 1{THIN}h"),
    ],
)
def test_durations_have_their_two_largest_units(value: float | None, expected: str) -> None:
    assert figures.duration(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.796, "79.6%"), (0.0001, "<0.1%"), (0, "0.0%"), (1.0, "100.0%"), (None, NOTHING)],
)
def test_shares_are_percent(value: float | None, expected: str) -> None:
    assert figures.share(value) == expected


def test_differences_have_their_sign() -> None:
    assert figures.signed_count(1_536) == "+1,536"
    assert figures.signed_count(-3) == "\N{MINUS SIGN}3"
    assert figures.signed_count(0) == "\N{PLUS-MINUS SIGN}0"
    assert figures.signed_size(-2_000_000) == f"\N{MINUS SIGN}2.00{THIN}MB"


def test_moments_are_utc_to_the_minute_and_whole_for_machines() -> None:
    shown = figures.moment("2026-11-23T20:05:09+02:00")
    assert ">2026-11-23 18:05</time>" in shown
    assert 'datetime="2026-11-23T18:05:09+00:00"' in shown
    assert figures.moment(datetime(2026, 1, 2, 3, 4, tzinfo=UTC)).endswith(">2026-01-02 03:04</time>")
    assert figures.moment(None) == NOTHING


def test_any_json_value_is_one_line() -> None:
    assert figures.plain({"a": [1, 2000], "b": None, "c": True, "d": 0.00025}) == (
        f"a: 1, 2000, b: {NOTHING}, c: yes, d: 0.00025"
    )
    assert figures.plain([]) == NOTHING
    assert figures.plain(12_345) == "12,345"


def test_large_numbers_are_short() -> None:
    assert figures.compact(13_643_908) == f"13.6{THIN}M"
    assert figures.compact(204) == "204"
    assert figures.compact(268_531_000_000_000) == f"268.5{THIN}T"
    assert figures.compact(None) == NOTHING
