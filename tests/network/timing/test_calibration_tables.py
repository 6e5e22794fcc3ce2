"""Spreads, tables of products, and what is refused as a calibration."""

import dataclasses
import itertools
import math
from datetime import datetime
from typing import Any

import pytest
from calibrations import IDLE, calibration, loop, spread, table
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.network.timing.calibration import AdamRate, ProductTable, Spread, StreamRate
from app.network.timing.calibration_check import check_calibration


def test_a_spread_is_the_fastest_the_median_and_nine_tenths() -> None:
    assert Spread.of([5.0, 1.0, 3.0]) == Spread(1.0, 3.0, 5.0)
    assert Spread.of([float(n) for n in range(1, 21)]) == Spread(1.0, 10.5, 18.0)
    assert Spread.of([2.0]).scaled(0.5) == Spread(1.0, 1.0, 1.0)


def test_between_the_levels_the_logarithms_are_interpolated() -> None:
    made = dataclasses.replace(
        table(levels=(4, 64)), typical=(16e-9, 4e-9, 4e-9, 1e-9, 4e-9, 1e-9, 1e-9, 0.25e-9)
    )
    assert made.seconds_per_flop(4, 4, 4, "typical") == pytest.approx(16e-9)
    assert made.seconds_per_flop(64, 64, 64, "typical") == pytest.approx(0.25e-9)
    assert made.seconds_per_flop(64, 4, 64, "typical") == pytest.approx(1e-9)
    assert made.seconds_per_flop(16, 64, 64, "typical") == pytest.approx(0.5e-9)  # half way from 1 to 0.25
    assert made.seconds_per_flop(10_000, 64, 64, "typical") == pytest.approx(0.25e-9)  # as at the largest
    # A single row takes as long as four: the other factor is read all the same.
    assert made.seconds_per_flop(1, 64, 64, "typical") == pytest.approx(4 * 1e-9)


@given(st.tuples(*[st.floats(1, 1e5)] * 3), st.lists(st.floats(1e-12, 1e-8), min_size=27, max_size=27))
def test_an_interpolated_speed_is_within_those_measured(
    sizes: tuple[float, float, float], values: list[float]
) -> None:
    made = dataclasses.replace(table(levels=(1, 64, 1024)), typical=tuple(values))
    found = made.seconds_per_flop(*sizes, "typical")
    assert min(values) * (1 - 1e-9) <= found <= max(values) * (1 + 1e-9)


sizes_of = st.tuples(*[st.floats(1, 1e5)] * 3)


@given(sizes_of, sizes_of, st.lists(st.floats(1e-12, 1e-8), min_size=27, max_size=27))
def test_a_larger_product_is_never_faster_whatever_was_measured(
    one: tuple[float, ...], other: tuple[float, ...], values: list[float]
) -> None:
    levels = (1, 64, 1024)
    measured = dict(zip(itertools.product(levels, repeat=3), map(spread, values), strict=True))
    made = ProductTable.of("fp32", "nn", levels, measured)
    small, large = (tuple(map(pick, one, other)) for pick in (min, max))
    times = [math.prod(sizes) * made.seconds_per_flop(*sizes, "typical") for sizes in (small, large)]
    assert times[0] <= times[1] * (1 + 1e-9)


def test_a_table_keeps_what_was_measured_where_it_is_in_order() -> None:
    measured = {sizes: spread(1e-9) for sizes in itertools.product((4, 8), repeat=3)}
    made = ProductTable.of("fp32", "nn", (4, 8), measured)
    assert made.typical == pytest.approx((1e-9,) * 8)
    assert made.slowest == pytest.approx((2e-9,) * 8)


def test_a_calibration_is_accepted_and_names_its_precisions() -> None:
    made = calibration()
    assert check_calibration(made) is made
    assert made.precisions == {"fp32"}
    assert hash(made) == hash(calibration())


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"device": ""}, "device"),
        ({"device": "a\x00b"}, "device"),
        ({"device": "x" * 201}, "device"),
        ({"versions": {"torch": "2\n"}}, "versions/torch"),
        ({"versions": {str(n): "1" for n in range(21)}}, "versions"),
        ({"threads": 0}, "threads"),
        ({"measured_at": datetime(2026, 1, 1)}, "measured_at"),  # noqa: DTZ001 - the point
        ({"products": ()}, "products"),
        ({"products": (table(levels=(8, 4)),)}, "products/levels"),
        ({"products": (dataclasses.replace(table(), typical=(1e-9,)),)}, "products/typical"),
        ({"products": (table(per_flop=math.nan),)}, "products/fastest"),
        ({"products": (table(per_flop=-1e-9),)}, "products/fastest"),
        ({"streams": ()}, "streams"),
        ({"activations": ()}, "activations"),
        ({"adam": ()}, "adam"),
        (
            {"streams": (StreamRate("copy", Spread(0.0, 0.0, 0.0)), *calibration().streams[1:])},
            "streams/copy",
        ),
        ({"adam": (AdamRate(0, spread(1e-9)),)}, "adam"),
        ({"adam": (AdamRate(10, Spread(2.0, 1.0, 3.0)),)}, "adam/10"),
        ({"loop": dataclasses.replace(loop(), step=Spread(math.nan, 1.0, 1.0))}, "loop/step"),
        ({"loop": loop(step=math.inf)}, "loop/step"),
    ],
)
def test_what_no_measurement_gives_is_refused_with_its_place(changes: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_calibration(calibration(**changes))
    assert caught.value.pointer == pointer
    assert caught.value.hint


def test_the_load_says_how_busy_the_machine_was() -> None:
    assert not IDLE.loaded
