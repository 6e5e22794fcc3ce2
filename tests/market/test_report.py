"""The dataset report: what it counts, what it lists, and that it survives its row."""

import json
from dataclasses import replace

import numpy as np
import pytest

from app.market.bars import Bars, Declarations, read_bars
from app.market.report import MOST_LISTED, DatasetReport, describe_bars
from tests.market.making import REAL_FILES, make_bars, read_googl, read_real


def test_spans_gaps_and_closings_of_made_bars() -> None:
    bars = make_bars(1500, gaps=(700, 900))
    report = describe_bars(bars)
    assert report.segments == ((0, 700), (700, 900), (900, 1500))
    assert (report.segment_count, report.gap_count, report.closings) == (3, 2, 0)
    assert report.unused_bars == 200
    first, second = report.gaps
    assert (first.seconds, first.missing_bars) == (second.seconds, second.missing_bars) == (31 * 3600, 30)
    assert first.last_before == "2017-08-12T05:40:00Z"


def test_the_longest_gaps_come_first_and_not_all_are_listed() -> None:
    hours = np.arange(1500, dtype=np.int64)
    for number, row in enumerate(range(100, 1400, 100), 1):
        hours[row:] += number
    bars = replace(
        make_bars(1500),
        utc_us=hours * 3_600_000_000,
        segments=tuple((s, s + 100) for s in range(0, 1500, 100)),
    )
    report = describe_bars(bars)
    assert len(report.gaps) == MOST_LISTED
    seconds = [gap.seconds for gap in report.gaps]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[0] == 14 * 3600


def test_jumps_are_listed_by_size_with_their_sign() -> None:
    bars = make_bars(900)
    factor = np.where(np.arange(900) >= 300, 2.0, 1.0) * np.where(np.arange(900) >= 600, 0.2, 1.0)
    prices = {name: getattr(bars, name) * factor for name in ("open", "high", "low", "close")}
    jumps = describe_bars(replace(bars, **prices)).jumps
    assert [np.sign(jump.change) for jump in jumps] == [-1, 1]
    assert jumps[0].change == pytest.approx(-0.8, abs=0.03)


def test_prices_and_volume_of_the_shipped_file() -> None:
    report = describe_bars(read_googl())
    assert report.prices is not None
    assert report.volume is not None
    assert (report.prices.first, report.prices.last) == (196.946945, 1264.650024)
    assert report.prices.change == pytest.approx(5.4213, abs=1e-4)
    assert (report.volume.column, report.volume.unit, report.volume.missing_rows) == ("Volume", "shares", 0)
    assert 1e6 < (report.volume.lowest_median or 0) < (report.volume.highest_median or 0) < 1e7


def test_bars_without_volume_say_so() -> None:
    report = describe_bars(replace(make_bars(700), volume=np.full(700, np.nan)))
    assert (report.volume, report.has_volume) == (None, False)


def test_medians_leave_out_bars_that_traded_nothing() -> None:
    volume = np.tile([0.0, 0.0, 0.0, 7.0], 200)
    report = describe_bars(replace(make_bars(800), volume=volume))
    assert report.volume is not None
    assert (report.volume.lowest_median, report.volume.highest_median, report.volume.zero_rows) == (
        7.0,
        7.0,
        600,
    )


@pytest.mark.parametrize("name", REAL_FILES)
def test_reports_of_real_files_survive_their_row(name: str) -> None:
    report = describe_bars(read_real(name))
    assert DatasetReport.from_plain(json.loads(json.dumps(report.plain()))) == report


def test_a_real_change_of_unit_shows_in_the_medians() -> None:
    volume = describe_bars(read_real("btcusd_1h_bitstamp_RAW")).volume
    assert volume is not None
    assert (volume.highest_median or 0) / (volume.lowest_median or 1) > 10_000


def test_a_report_of_an_earlier_release_is_read() -> None:
    old = {
        "segments": [[0, 9]],
        "warnings": [],
        "dropped_twins": 2,
        "has_volume": False,
        "periods_per_year": 252.0,
    }
    report = DatasetReport.from_plain({**old, "colour": "red"})
    assert (report.segments, report.dropped_twins, report.prices) == (((0, 9),), 2, None)


def test_own_columns_dropped_rows_and_adjustment_are_told() -> None:
    frame = make_bars(700).frame()
    text = frame.rename({"close": "Close"}).with_columns((frame["close"] / 2).alias("Adj Close"))
    data = text.write_csv(datetime_format="%Y-%m-%dT%H:%M:%SZ").splitlines(keepends=True)
    data.insert(9, data[8])
    declared = Declarations(calendar="24x7", adjusted="total", feature_columns="Adj Close")
    bars: Bars = read_bars("".join(data).encode(), declared)
    report = describe_bars(bars)
    assert (report.is_adjusted, report.dropped_twins, report.own_features[0].name) == (True, 1, "Adj Close")
