"""Every code of the contract: its rows (the first five), its count, its fix; on made and on real files."""

import io
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest

from app.errors import InvalidDataset
from app.market.bars import Bars, Declarations, read_bars
from app.market.findings import FIXES, Finding
from tests.market.making import make_bars, read_real

ROWS = 1400
WRONG = pl.int_range(pl.len()).is_in([10, 20, 30, 40, 50, 60, 70])
SEVEN = ([11, 21, 31, 41, 51], 7)
AWARE = make_bars(ROWS).frame()
NAIVE = AWARE.with_columns(pl.col("timestamp").dt.replace_time_zone(None))


def where_wrong(**values: Any) -> pl.DataFrame:
    return AWARE.with_columns(
        pl.when(WRONG).then(value).otherwise(pl.col(name)).alias(name) for name, value in values.items()
    )


def hours_out(first: int, count: int) -> pl.DataFrame:
    return AWARE.filter(~pl.int_range(pl.len()).is_between(first, first + count - 1))


def as_text(frame: pl.DataFrame, form: str) -> pl.DataFrame:
    return frame.with_columns(pl.col("timestamp").dt.strftime(form))


same_day = pl.datetime_range(pl.date(2018, 4, 3), pl.date(2018, 4, 4), "1m", eager=True, closed="left")[:ROWS]
FACTOR = pl.when(pl.int_range(pl.len()) >= 800).then(10_000).otherwise(1)
PRICES = ("open", "high", "low", "close")
TEXT = AWARE.with_columns(*(pl.lit("1,234").alias(name) for name in PRICES), pl.lit(5).alias("volume"))

CASES: dict[str, tuple[pl.DataFrame, dict[str, Any], list[int], int]] = {
    "E_COLUMNS": (as_text(where_wrong(timestamp=None), "%Y-%m-%dT%H:%M:%SZ"), {}, *SEVEN),
    "E_TZ_NAIVE": (NAIVE, {}, [1, 2, 3, 4, 5], ROWS),
    "E_DATE_AMBIGUOUS": (
        as_text(NAIVE.with_columns(timestamp=same_day), "%d/%m/%Y %H:%M"),
        {"timezone": "UTC"},
        [1, 2, 3, 4, 5],
        ROWS,
    ),
    "E_NUMBER_AMBIGUOUS": (TEXT, {}, [], 1),
    "E_SYMBOLS": (
        AWARE.with_columns(pl.lit(["a", "b"]).list.get(pl.int_range(pl.len()) % 2).alias("symbol")),
        {},
        [],
        1,
    ),
    "E_UNSORTED": (AWARE.reverse(), {}, [2, 3, 4, 5, 6], ROWS - 1),
    "E_DUP_TS": (where_wrong(timestamp=pl.col("timestamp").shift(1)), {}, *SEVEN),
    "E_NAN_PRICE": (where_wrong(close=None), {}, *SEVEN),
    "E_NAN_FEATURE": (
        AWARE.with_columns(pl.when(pl.int_range(pl.len()) >= 1393).then(None).otherwise(1.0).alias("mood")),
        {"feature_columns": "mood"},
        [1394, 1395, 1396, 1397, 1398],
        7,
    ),
    "E_NONPOSITIVE": (where_wrong(low=0.0), {}, *SEVEN),
    "E_OHLC_ORDER": (where_wrong(high=1e-3), {}, *SEVEN),
    "E_OFF_GRID": (where_wrong(timestamp=pl.col("timestamp") + pl.duration(minutes=7)), {}, *SEVEN),
    "E_TOO_SHORT": (AWARE[:601], {}, [], 1),
    "E_UNREADABLE": (pl.DataFrame(), {}, [], 1),
    "W_GAP": (hours_out(700, 3), {}, [701], 1),
    "W_SHORT_SEGMENT": (hours_out(100, 3), {}, [1], 1),
    "W_JUMP": (AWARE.with_columns(pl.col("open", "high", "low", "close") * FACTOR), {}, [801], 1),
    "W_VOLUME_UNIT": (AWARE.with_columns(pl.col("volume") * FACTOR), {}, [801], 1),
    "W_VOLUME_ABSENT": (where_wrong(volume=None), {}, *SEVEN),
    "W_FLAT_BARS": (where_wrong(**dict.fromkeys(PRICES, 100.0)), {}, *SEVEN),
}


def findings_of(
    frame: pl.DataFrame, declared: dict[str, Any], write: Callable[[pl.DataFrame], bytes]
) -> dict[str, Finding]:
    try:
        found = read_bars(write(frame), Declarations(calendar="24x7", **declared)).warnings
    except InvalidDataset as error:
        found = tuple(Finding(**{**plain, "rows": tuple(plain["rows"])}) for plain in error.extra["findings"])
    return {finding.code: finding for finding in found}


def as_csv(frame: pl.DataFrame) -> bytes:
    typed = isinstance(frame.schema.get("timestamp"), pl.Datetime)
    aware = typed and frame.schema["timestamp"].time_zone  # type: ignore[union-attr]
    form = "%Y-%m-%dT%H:%M:%SZ" if aware else "%Y-%m-%d %H:%M:%S"
    return frame.write_csv(datetime_format=form).encode() if len(frame) else b"\0"


def as_parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue() if len(frame) else b"PAR1"


@pytest.mark.parametrize("write", [as_csv, as_parquet])
@pytest.mark.parametrize("code", CASES)
def test_code_rows_count_and_fix(code: str, write: Callable[[pl.DataFrame], bytes]) -> None:
    frame, declared, rows, count = CASES[code]
    finding = findings_of(frame, declared, write)[code]
    assert (list(finding.rows), finding.count) == (rows, count)
    assert finding.fix == FIXES[code]
    assert finding.message


def test_every_code_that_can_be_given_has_a_case() -> None:
    assert set(CASES) == set(FIXES)


# Real files, and what happens to them on the way


def damage(name: str, change: Callable[[pl.DataFrame], pl.DataFrame], **declared: Any) -> dict[str, Finding]:
    bars = read_real(name)
    calendar = bars.declarations.calendar
    return findings_of_real(change(bars.frame()), calendar=calendar, **declared)


def findings_of_real(frame: pl.DataFrame, **declared: Any) -> dict[str, Finding]:
    try:
        found = read_bars(as_csv(frame), Declarations(**declared)).warnings
    except InvalidDataset as error:
        found = tuple(Finding(**plain) for plain in error.extra["findings"])
    return {finding.code: finding for finding in found}


def test_real_eurusd_as_its_exporter_wrote_it_day_first() -> None:
    bars = read_real("eurusd_1h_2017")
    text = bars.frame().with_columns(pl.col("timestamp").dt.strftime("%d.%m.%Y %H:%M:%S.000 GMT+0000"))
    again = read_bars(
        text.rename({"timestamp": "Local time"}).write_csv().encode(), Declarations(calendar="24x5")
    )
    assert again.sha256 == bars.sha256


def test_real_crypto_dump_newest_first_with_a_link_and_two_volumes() -> None:
    bars = read_real("btcusd_1h_bitstamp_RAW")
    frame = bars.frame().select(
        pl.col("timestamp").dt.epoch("s").alias("unix"),
        pl.col("timestamp").dt.strftime("%Y-%m-%d %H:%M:%S").alias("date"),
        pl.lit("BTC/USD").alias("symbol"),
        *("open", "high", "low", "close"),
        pl.col("volume").alias("Volume BTC"),
        (pl.col("volume") * pl.col("close")).alias("Volume USD"),
    )
    dump = b"https://www.CryptoDataDownload.com\n" + frame.reverse().write_csv().encode()
    with pytest.raises(InvalidDataset, match="new to old"):
        read_bars(dump, Declarations(calendar="24x7"))
    again = read_bars(dump, Declarations(calendar="24x7", reverse=True))
    assert (again.sha256, again.volume_name) == (bars.sha256, "Volume BTC")
    rows = {w.code: w.rows for w in again.warnings}
    assert rows["W_VOLUME_UNIT"] == (26259, 26259 - 1000, 12059) or set(rows) == {
        w.code for w in bars.warnings
    }


def test_real_broker_export_in_hundred_thousandths_is_the_same_but_for_scale() -> None:
    bars = read_real("gbpusd_1h")
    whole = (pl.col(name) * 100_000 for name in ("open", "high", "low", "close"))
    found = damage("gbpusd_1h", lambda frame: frame.with_columns(column.round() for column in whole))
    assert {code: f.count for code, f in found.items()} == {w.code: w.count for w in bars.warnings}


def test_real_broker_time_labelled_as_another_zone_loses_its_weekends() -> None:
    later = pl.col("timestamp").dt.offset_by("30h")
    found = damage("eurusd_1h_2017", lambda frame: frame.with_columns(later))
    assert "declare the calendar" in found["E_TOO_SHORT"].fix


def test_real_minutes_with_rows_lost_in_a_merge() -> None:
    found = damage(
        "btcperp_1m_ftx_2022_01", lambda frame: frame.filter(~pl.int_range(pl.len()).is_in([700, 9000]))
    )
    assert (found["W_GAP"].rows, found["W_GAP"].count) == ((701, 9000), 2)


def test_real_days_joined_twice_are_dropped_and_conflicting_ones_refused() -> None:
    bars = read_real("googl_1d")
    frame = bars.frame()
    twice = pl.concat([frame, frame[-50:]]).sort("timestamp", maintain_order=True)
    assert read_bars(as_csv(twice), Declarations(calendar="XNYS")).dropped_twins == 50
    other = pl.concat([frame, frame[-50:].with_columns(pl.col("close") * 1.00001)]).sort(
        "timestamp", maintain_order=True
    )
    found = findings_of_real(other, calendar="XNYS")
    assert found["E_DUP_TS"].count == 50


def test_real_days_with_an_unadjusted_split_jump() -> None:
    factor = (
        pl.when(pl.col("timestamp") < pl.lit(date(2014, 4, 3)).cast(pl.Datetime("us", "UTC")))
        .then(20)
        .otherwise(1)
    )
    prices = ("open", "high", "low", "close")
    found = damage("googl_1d", lambda frame: frame.with_columns(pl.col(name) * factor for name in prices))
    assert found["W_JUMP"].count == 1


def test_real_file_without_its_volume_masks_the_volume_features() -> None:
    bars = read_real("ethbtc_5m_2018_01")
    bare = read_bars(as_csv(bars.frame().drop("volume")), Declarations(calendar="24x7"))
    assert [w.code for w in bare.warnings] == ["W_VOLUME_ABSENT"]
    assert not bare.has_volume


def test_csv_and_parquet_of_real_bars_have_one_hash() -> None:
    def both(bars: Bars) -> set[str]:
        declared = Declarations(calendar=bars.declarations.calendar, timezone="UTC")
        naive = bars.frame().with_columns(pl.col("timestamp").dt.replace_time_zone(None))
        return {read_bars(write(naive), declared).sha256 for write in (as_csv, as_parquet)}

    for name in ("googl_1d", "gbpusd_1h", "ltcbtc_5m_2018_01"):
        assert len(both(read_real(name))) == 1


def test_undeclared_and_declared_defaults_have_one_hash() -> None:
    data = as_parquet(AWARE)
    plain = read_bars(data, Declarations())
    assert plain.sha256 == read_bars(data, Declarations(timezone="UTC", calendar="24x7")).sha256
    assert np.array_equal(plain.close, AWARE["close"].to_numpy())
