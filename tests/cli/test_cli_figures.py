"""Figures as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli import figures


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (99_999, "99,999 B"),
        (163_745_187, "163.75 MB = 156.16 MiB"),
        (84_900_000_000, "84.90 GB = 79.07 GiB"),
    ],
)
def test_sizes_are_told_in_both_units(count: int, text: str) -> None:
    assert figures.size(count) == text


@pytest.mark.parametrize(
    ("count", "text"), [(7, "7 B"), (1_500, "1.5 kB"), (809_000_000, "809.0 MB"), (15_837_691_904, "15.8 GB")]
)
def test_short_sizes_have_one_unit(count: int, text: str) -> None:
    assert figures.short_size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "\N{EN DASH}"),
        (0.2, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3_600, "1 h"),
        (86_400 + 7_200, "1 d 2 h"),
    ],
)
def test_durations_have_their_two_largest_units(seconds: float | None, text: str) -> None:
    assert figures.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "\N{EN DASH}"), (0.0, "0.00"), (-1.234, "-1.23"), (1e-7, "1.00e-07"), (2e9, "2.00e+09")],
)
def test_numbers_stay_short(value: float | None, text: str) -> None:
    assert figures.number(value) == text


@pytest.mark.parametrize(
    ("share", "text"), [(None, "\N{EN DASH}"), (0.123, "+12.3 %"), (-0.5, "-50.0 %"), (0.0, "+0.0 %")]
)
def test_returns_carry_their_sign(share: float | None, text: str) -> None:
    assert figures.signed_percent(share) == text


@given(st.floats(0, 1), st.integers(1, 60))
def test_a_bar_is_never_wider_than_its_room_and_never_empty_for_something(share: float, width: int) -> None:
    drawn = figures.bar(share, width)
    assert len(drawn) <= width
    assert bool(drawn) == (share > 0)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_has_no_shorter_bar(one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert len(figures.bar(small)) <= len(figures.bar(large))


def test_a_network_is_told_by_its_widths() -> None:
    assert figures.chain(5300, (512, 256), 3) == "5,300 → 512 → 256 → 3"
    assert figures.chain(None, ("?",), None) == "? → ? → ?"
    assert figures.chain(12, (8,), "actions") == "12 → 8 → actions"


def test_times_lose_their_fractions() -> None:
    assert figures.moment("2026-11-23T12:34:56.789012+00:00") == "2026-11-23 12:34:56"
    assert figures.short_moment("2026-11-23T12:34:56Z") == "11-23 12:34"
    assert figures.moment(None) == "\N{EN DASH}"
