"""The bar contract: every error and warning, the canonical form, the real files."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from app.errors import InvalidDataset
from app.market.bars import Declarations, load_bars, read_bars
from tests.market.making import GOOGL, REAL_FILES, make_bars, read_googl, read_real

ROWS = 700
UTC = Declarations(timezone="UTC", calendar="24x7")


def table(count: int = ROWS) -> pl.DataFrame:
    bars = make_bars(count)
    return bars.frame().with_columns(pl.col("timestamp").dt.replace_time_zone(None))


def upload(frame: pl.DataFrame) -> io.BytesIO:
    return io.BytesIO(frame.write_csv(datetime_format="%Y-%m-%d %H:%M:%S").encode())


def put(frame: pl.DataFrame, row: int, **values: object) -> pl.DataFrame:
    """The frame with other values in the row numbered from 1."""
    at = pl.int_range(pl.len()) == row - 1
    return frame.with_columns(
        pl.when(at).then(pl.lit(v, dtype=frame.schema[k])).otherwise(pl.col(k)).alias(k)
        for k, v in values.items()
    )


def refused(source: io.BytesIO | bytes, declarations: Declarations = UTC) -> dict[str, dict]:
    with pytest.raises(InvalidDataset) as caught:
        read_bars(source, declarations)
    return {finding["code"]: finding for finding in caught.value.extra["findings"]}


def warned(frame: pl.DataFrame, declarations: Declarations = UTC) -> dict[str, tuple[int, ...]]:
    return {w.code: w.rows for w in read_bars(upload(frame), declarations).warnings}


def test_clean_file_is_read_as_one_segment_without_warnings() -> None:
    bars = read_bars(upload(table()), UTC)
    assert len(bars) == ROWS
    assert bars.bar_seconds == 3600
    assert bars.segments == ((0, ROWS),)
    assert bars.warnings == ()
    assert bars.utc_us[0] == 1_500_000_000_000_000
    np.testing.assert_allclose(bars.close, make_bars(ROWS).close, rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"close": None}, "E_NAN_PRICE"),
        ({"open": float("nan")}, "E_NAN_PRICE"),
        ({"high": float("inf")}, "E_NAN_PRICE"),
        ({"volume": float("inf")}, "E_NAN_PRICE"),
        ({"low": 0.0}, "E_NONPOSITIVE"),
        ({"low": -3.0}, "E_NONPOSITIVE"),
        ({"volume": -1.0}, "E_NONPOSITIVE"),
        ({"high": 1e-3}, "E_OHLC_ORDER"),
        ({"low": 1e9}, "E_OHLC_ORDER"),
    ],
)
def test_bad_row_is_named_with_code_row_count_and_fix(changes: dict[str, Any], code: str) -> None:
    found = refused(upload(put(table(), 42, **changes)))
    assert list(found) == [code]
    assert found[code]["rows"] == [42]
    assert found[code]["count"] == 1
    assert found[code]["fix"]


def test_all_breaches_are_reported_together_with_the_first_five_rows() -> None:
    frame = table().with_columns(
        pl.when(pl.int_range(pl.len()) >= 690).then(None).otherwise(pl.col("close")).alias("close")
    )
    found = refused(upload(put(put(frame, 5, low=-1.0), 9, high=1e-3)))
    assert set(found) == {"E_NAN_PRICE", "E_NONPOSITIVE", "E_OHLC_ORDER"}
    assert found["E_NAN_PRICE"]["rows"] == [691, 692, 693, 694, 695]
    assert found["E_NAN_PRICE"]["count"] == 10


def test_text_in_a_price_cell_is_a_missing_price() -> None:
    text = upload(table()).getvalue().decode().splitlines()
    text[7] = text[7].rsplit(",", 2)[0] + ",n/a,1"
    assert refused("\n".join(text).encode())["E_NAN_PRICE"]["rows"] == [7]


def test_missing_columns_are_named() -> None:
    found = refused(upload(table().drop("high", "low")))
    assert "high, low" in found["E_COLUMNS"]["message"]


def test_two_columns_of_one_name_are_refused() -> None:
    frame = table().with_columns(pl.col("close").alias("Close"))
    assert "E_COLUMNS" in refused(upload(frame))


def test_separate_date_and_time_columns_are_joined() -> None:
    frame = table().with_columns(
        pl.col("timestamp").dt.strftime("%Y.%m.%d").alias("<DATE>"),
        pl.col("timestamp").dt.strftime("%H:%M").alias("<TIME>"),
    )
    bars = read_bars(frame.drop("timestamp").write_csv(separator="\t").encode(), UTC)
    assert bars.utc_us[1] - bars.utc_us[0] == 3_600_000_000
    assert bars.bar_seconds == 3600


def test_naive_timestamps_are_refused_until_a_timezone_is_declared() -> None:
    assert set(refused(upload(table()), Declarations(calendar="XNYS"))) == {"E_TZ_NAIVE"}


def test_naive_timestamps_and_bad_prices_are_reported_together() -> None:
    found = refused(upload(put(table(), 3, close=None)), Declarations())
    assert set(found) == {"E_TZ_NAIVE", "E_NAN_PRICE"}


def test_unsorted_rows_are_found_where_time_goes_back() -> None:
    frame = table()
    swapped = pl.concat([frame[:10], frame[11:12], frame[10:11], frame[12:]])
    assert refused(upload(swapped))["E_UNSORTED"]["rows"] == [12]


def test_descending_file_is_refused_and_read_when_declared() -> None:
    backwards = table().reverse()
    assert "new to old" in refused(upload(backwards))["E_UNSORTED"]["message"]
    turned = read_bars(upload(backwards), Declarations(timezone="UTC", calendar="24x7", reverse=True))
    assert turned.sha256 == read_bars(upload(table()), UTC).sha256


def test_rows_of_a_reversed_file_are_numbered_as_uploaded() -> None:
    backwards = put(table().reverse(), 3, close=None)
    declared = Declarations(timezone="UTC", calendar="24x7", reverse=True)
    assert refused(upload(backwards), declared)["E_NAN_PRICE"]["rows"] == [3]


def test_identical_rows_are_dropped_and_counted() -> None:
    frame = table()
    bars = read_bars(upload(pl.concat([frame[:20], frame[19:20], frame[19:]])), UTC)
    assert bars.dropped_twins == 2
    assert bars.sha256 == read_bars(upload(frame), UTC).sha256


def test_contradicting_rows_of_one_time_are_refused() -> None:
    frame = table()
    other = frame[19:20].with_columns(pl.col("volume") + 1)
    assert refused(upload(pl.concat([frame[:20], other, frame[20:]])))["E_DUP_TS"]["rows"] == [21]


def test_bars_between_the_grid_points_are_refused() -> None:
    late = table().with_columns(
        pl.when(pl.int_range(pl.len()) == 99)
        .then(pl.col("timestamp") + pl.duration(minutes=7))
        .otherwise(pl.col("timestamp"))
        .alias("timestamp")
    )
    assert refused(upload(late))["E_OFF_GRID"]["rows"] == [100]


def test_wrongly_declared_bar_length_is_off_grid() -> None:
    declared = Declarations(timezone="UTC", bar_seconds=7200)
    assert refused(upload(table()), declared)["E_OFF_GRID"]["count"] == ROWS // 2


@pytest.mark.parametrize("count", [0, 1, 601])
def test_too_few_bars_are_refused(count: int) -> None:
    assert "E_TOO_SHORT" in refused(upload(table(701)[:count]))


def test_602_bars_are_enough() -> None:
    assert len(read_bars(upload(table(602)), UTC)) == 602


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"PAR1 is no Parquet file", b"\x00\x01\x02", b"PK\x03\x04\x00\x00zip"]
)
def test_files_that_are_neither_csv_nor_parquet_are_unreadable(data: bytes) -> None:
    assert set(refused(data)) == {"E_UNREADABLE"}


def test_prose_has_no_columns() -> None:
    assert set(refused(b"this is a text\nand nothing else\n")) == {"E_COLUMNS"}


def test_rows_with_surplus_cells_are_unreadable() -> None:
    assert set(refused(upload(table()).getvalue() + b"1,2,3,4,5,6,7,8\n")) == {"E_UNREADABLE"}


def test_close_labels_are_moved_to_the_open() -> None:
    bars = read_bars(upload(table()), Declarations(timezone="UTC", calendar="24x7", label="close"))
    assert bars.utc_us[0] == 1_500_000_000_000_000 - 3_600_000_000
    assert bars.declarations.label == "open"


def test_gap_splits_segments_and_names_the_first_row_after_it() -> None:
    frame = pl.concat([table(1500)[:700], table(1500)[703:]])
    bars = read_bars(upload(frame), UTC)
    assert bars.segments == ((0, 700), (700, 1497))
    assert [(w.code, w.rows, w.count) for w in bars.warnings] == [("W_GAP", (701,), 1)]


def test_jump_is_noted() -> None:
    frame = table().with_columns(
        pl.when(pl.int_range(pl.len()) >= 300).then(pl.col(c) * 2).otherwise(pl.col(c)).alias(c)
        for c in ("open", "high", "low", "close")
    )
    assert warned(frame) == {"W_JUMP": (301,)}


def test_change_of_the_volume_unit_is_noted() -> None:
    factor = pl.when(pl.int_range(pl.len()) >= 400).then(10_000).otherwise(1)
    assert warned(table().with_columns(pl.col("volume") * factor)) == {"W_VOLUME_UNIT": (401,)}


def test_absent_volume_is_noted_and_kept_as_null() -> None:
    bars = read_bars(upload(table().drop("volume")), UTC)
    assert [w.code for w in bars.warnings] == ["W_VOLUME_ABSENT"]
    assert not bars.has_volume
    assert bars.frame()["volume"].null_count() == ROWS
    assert load_bars(bars.canonical_bytes()).sha256 == bars.sha256


def test_flat_bars_are_noted() -> None:
    frame = put(table(), 50, open=100.0, high=100.0, low=100.0, close=100.0)
    assert warned(frame)["W_FLAT_BARS"] == (50,)


def test_digest_depends_on_values_and_declarations_but_not_on_the_file() -> None:
    csv = read_bars(upload(table()), UTC)
    buffer = io.BytesIO()
    csv.frame().rename(str.upper).write_parquet(buffer, compression="snappy")
    parquet = read_bars(buffer.getvalue(), UTC)
    assert parquet.sha256 == csv.sha256
    assert read_bars(upload(put(table(), 9, volume=1.0)), UTC).sha256 != csv.sha256
    assert read_bars(upload(table()), Declarations(timezone="UTC", calendar="24x5")).sha256 != csv.sha256


def test_canonical_file_is_deterministic_and_loads_to_the_same(tmp_path: Path) -> None:
    bars = read_googl()
    bars.write(tmp_path / "googl.parquet")
    loaded = load_bars(tmp_path / "googl.parquet")
    assert bars.canonical_bytes() == loaded.canonical_bytes()
    assert loaded.sha256 == bars.sha256
    assert loaded.declarations == bars.declarations
    schema = pl.read_parquet_schema(tmp_path / "googl.parquet")
    assert schema == {"timestamp": pl.Datetime("us", "UTC")} | dict.fromkeys(
        ("open", "high", "low", "close", "volume"), pl.Float64
    )


def test_any_other_parquet_file_is_not_canonical() -> None:
    buffer = io.BytesIO()
    table().write_parquet(buffer)
    for data in (buffer.getvalue(), b"no file"):
        with pytest.raises(InvalidDataset, match="E_UNREADABLE"):
            load_bars(data)


def test_shipped_file_is_one_segment_of_new_york_days() -> None:
    bars = read_googl()
    assert (len(bars), bars.bar_seconds, bars.segments, bars.warnings) == (2335, 86_400, ((0, 2335),), ())
    assert bars.periods_per_year == 252
    assert bars.local_us[0] == np.datetime64("2009-05-22", "us").astype(np.int64)
    assert str(bars.frame()["timestamp"][0]) == "2009-05-22 04:00:00+00:00"


def test_shipped_file_without_a_calendar_says_what_to_declare() -> None:
    with pytest.raises(InvalidDataset, match="E_TZ_NAIVE"):
        read_bars(GOOGL, Declarations())
    with pytest.raises(InvalidDataset, match="E_TOO_SHORT") as caught:
        read_bars(GOOGL, Declarations(timezone="UTC"))
    assert "calendar" in caught.value.hint


REAL_FINDINGS = {
    "googl_1d": (1, {}),
    "nasdaq_1d": (2, {"W_GAP": 1}),  # closed for a week in September 2001
    "eurusd_1h_2017": (1, {}),
    "gbpusd_1h": (6, {"W_GAP": 5, "W_SHORT_SEGMENT": 1, "W_JUMP": 1, "W_FLAT_BARS": 19}),
    "btcusd_1h_bitstamp_RAW": (1, {"W_JUMP": 3, "W_FLAT_BARS": 5, "W_VOLUME_UNIT": 3}),
    "btcperp_1m_ftx_2022_01": (1, {"W_FLAT_BARS": 5}),
    "ethbtc_5m_2018_01": (1, {}),
    "ltcbtc_5m_2018_01": (1, {}),
}


@pytest.mark.parametrize("name", REAL_FILES)
def test_known_defects_of_real_files_are_found(name: str) -> None:
    bars = read_real(name)
    segments, findings = REAL_FINDINGS[name]
    assert len(bars.segments) == segments
    assert {w.code: w.count for w in bars.warnings} == findings
    assert load_bars(bars.canonical_bytes()).segments == bars.segments
