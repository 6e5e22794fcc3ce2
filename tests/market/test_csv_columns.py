"""Columns as exchanges, brokers and libraries name them."""

import io

import numpy as np
import polars as pl
import pytest

from app.market.bars import Declarations, read_bars
from tests.market.dialects import (
    COUNT,
    DAYS,
    HOURS,
    PLAIN,
    PRICES,
    UTC_24X7,
    VOLUME,
    csv,
    is_read,
    iso,
    ohlcv,
    refused,
)


@pytest.mark.parametrize(
    "header",
    [
        "TIMESTAMP,OPEN,HIGH,LOW,CLOSE,VOLUME",
        " Open Time , Open , High , Low , Close , Volume ",
        "datetime,o,h,l,c,v",
        "timestamp,1. open,2. high,3. low,4. close,5. volume",
        '"Date","Open Price","High Price","Low Price","Close Price","Vol."',
        "time_period_start,price_open,price_high,price_low,price_close,volume_traded",
        ",open,high,low,close,volume",
    ],
    ids=["capitals", "spaces", "letters", "alpha vantage", "quoted", "coinapi", "pandas index"],
)
def test_headers_in_any_case_and_style(header: str) -> None:
    is_read(csv(header, lambda t: [iso(t), *ohlcv(t)]), timezone="UTC")


def test_columns_in_another_order() -> None:
    def cells(t: int) -> list[object]:
        o, h, low, c = PRICES[t]
        return [VOLUME[t], c, low, h, o, int(HOURS[t].timestamp())]

    is_read(csv("volume,close,low,high,open,time", cells))


def test_metatrader_tabs_with_date_and_time_columns() -> None:
    header = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"

    def cells(t: int) -> list[object]:
        return [HOURS[t].strftime("%Y.%m.%d"), HOURS[t].strftime("%H:%M:%S"), *PRICES[t], VOLUME[t], 0, 12]

    bars = is_read(csv(header, cells, separator="\t"), timezone="UTC")
    assert bars.volume_name == "tick volume"


def test_stooq_compact_date_and_time_columns() -> None:
    header = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>"

    def cells(t: int) -> list[object]:
        return ["EURUSD", 60, HOURS[t].strftime("%Y%m%d"), HOURS[t].strftime("%H%M%S"), *ohlcv(t), 0]

    is_read(csv(header, cells), timezone="UTC")


def test_cryptodatadownload_prefers_the_epoch_and_takes_the_base_volume() -> None:
    def cells(t: int) -> list[object]:
        return [int(HOURS[t].timestamp()), iso(t), "BTC/USD", *PRICES[t], VOLUME[t], 9.0]

    header = "unix,date,symbol,open,high,low,close,Volume BTC,Volume USD"
    bars = is_read(csv(header, cells, above="https://www.CryptoDataDownload.com"))
    assert bars.volume_name == "Volume BTC"
    turned = "unix,date,symbol,open,high,low,close,Volume USD,Volume BTC"
    assert read_bars(csv(turned, cells), Declarations(calendar="24x7")).volume_name == "Volume BTC"


def test_two_volumes_without_a_symbol_want_a_declaration() -> None:
    data = csv("date,open,high,low,close,Volume BTC,Volume USD", lambda t: [iso(t), *ohlcv(t), 9.0])
    found = refused(data, **UTC_24X7)
    assert found["code"] == "E_COLUMNS"
    assert "Volume BTC, Volume USD" in found["message"]
    is_read(data, timezone="UTC", volume_column="Volume BTC")
    is_read(data, timezone="UTC", volume_column="volume usd", volume=[9.0] * COUNT)
    assert "Volume ETH" in refused(data, **UTC_24X7, volume_column="Volume ETH")["message"]


def test_kaggles_bitstamp_names() -> None:
    header = "Timestamp,Open,High,Low,Close,Volume_(BTC),Volume_(Currency),Weighted_Price"
    data = csv(header, lambda t: [int(HOURS[t].timestamp()), *ohlcv(t), 9.0, 9.0])
    is_read(data, volume_column="Volume_(BTC)")


def test_yahoos_adjusted_close_is_used_where_total_returns_are_declared() -> None:
    def cells(t: int) -> list[object]:
        return [DAYS[t].strftime("%Y-%m-%d"), *PRICES[t], PRICES[t][3] * 0.5, VOLUME[t]]

    data = csv("Date,Open,High,Low,Close,Adj Close,Volume", cells)
    assert not is_read(data, times=DAYS, adjusted="split", timezone="UTC").is_adjusted
    total = read_bars(data, Declarations(calendar="24x7", timezone="UTC", adjusted="total"))
    assert total.is_adjusted
    np.testing.assert_allclose(total.high, [row[1] * 0.5 for row in PRICES], rtol=1e-12)


def test_yfinance_with_its_three_header_lines() -> None:
    def cells(t: int) -> list[object]:
        o, h, low, c = PRICES[t]
        return [DAYS[t].strftime("%Y-%m-%d"), c, h, low, o, VOLUME[t]]

    header = "Price,Close,High,Low,Open,Volume\nTicker,GOOGL,GOOGL,GOOGL,GOOGL,GOOGL\nDate,,,,,"
    is_read(csv(header, cells), times=DAYS, timezone="UTC")


def test_investing_com_month_names_and_price_for_close() -> None:
    def cells(t: int) -> list[object]:
        o, h, low, c = PRICES[t]
        return [
            f'"{DAYS[t].strftime("%b %d, %Y")}"',
            f'"{c}"',
            f'"{o}"',
            f'"{h}"',
            f'"{low}"',
            '"-"',
            '"0.5%"',
        ]

    header = '"Date","Price","Open","High","Low","Vol.","Change %"'
    bars = is_read(csv(header, cells), times=DAYS, timezone="UTC", volume=None)
    assert not bars.has_volume


def test_nasdaq_com_dollars_and_close_last() -> None:
    def cells(t: int) -> list[object]:
        o, h, low, c = (f"${price}" for price in PRICES[t])
        return [DAYS[t].strftime("%m/%d/%Y"), c, VOLUME[t], o, h, low]

    is_read(csv("Date,Close/Last,Volume,Open,High,Low", cells), times=DAYS, timezone="UTC")


def klines(t: int) -> list[object]:
    opened = int(HOURS[t].timestamp()) * 1000
    return [opened, *ohlcv(t), opened + 3_599_999, 9.0, 7, 4.0, 4.0, 0]


def test_binance_klines_without_header_say_what_to_declare_and_are_read_so() -> None:
    data = csv("", klines)
    found = refused(data)
    assert (found["code"], "Binance" in found["message"], "12 values" in found["message"]) == (
        "E_COLUMNS",
        True,
        True,
    )
    is_read(data, columns="timestamp,open,high,low,close,volume")
    names = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
    is_read(csv(names, klines))


def test_headerless_files_of_other_brokers_are_read_by_declaration() -> None:
    histdata = csv("", lambda t: [HOURS[t].strftime("%Y%m%d %H%M%S"), *ohlcv(t)], separator=";")
    assert "no header line" in refused(histdata)["message"]
    is_read(histdata, timezone="UTC", columns="timestamp,open,high,low,close,volume")
    metatrader4 = csv("", lambda t: [HOURS[t].strftime("%Y.%m.%d"), HOURS[t].strftime("%H:%M"), *ohlcv(t)])
    assert "columns=date,time,open" in refused(metatrader4)["message"]
    is_read(metatrader4, timezone="UTC", columns="date,time,open,high,low,close,volume")


def test_declared_columns_that_do_not_fit_are_refused() -> None:
    assert "7 columns, the rows have 6" in refused(PLAIN, **UTC_24X7, columns="a,b,c,d,e,f,g")["message"]
    assert "no row" in refused(b"timestamp,open\n", columns="timestamp,open,high,low,close")["message"]


def test_a_separator_at_the_end_of_each_row() -> None:
    is_read(csv("date,open,high,low,close,volume", lambda t: [iso(t), *ohlcv(t), ""]), timezone="UTC")
    is_read(csv("date,open,high,low,close,volume,", lambda t: [iso(t), *ohlcv(t), ""]), timezone="UTC")


def test_several_symbols_in_one_file_are_refused() -> None:
    data = csv(
        "date,symbol,open,high,low,close,volume", lambda t: [iso(t), ("AAPL", "MSFT")[t % 2], *ohlcv(t)]
    )
    found = refused(data, **UTC_24X7)
    assert (found["code"], "AAPL, MSFT" in found["message"]) == ("E_SYMBOLS", True)


def test_null_words_are_missing_prices() -> None:
    def cells(t: int) -> list[object]:
        return [iso(t), *(["null"] * 4 if t == 9 else PRICES[t]), VOLUME[t]]

    found = refused(csv("date,open,high,low,close,volume", cells), **UTC_24X7)
    assert (found["code"], found["rows"]) == ("E_NAN_PRICE", [10])


def test_parquet_of_pandas_with_its_index_and_text_columns() -> None:
    frame = pl.DataFrame(PRICES, schema=["Open", "High", "Low", "Close"], orient="row")
    indexed = frame.with_columns(pl.Series("__index_level_0__", HOURS), pl.Series("Volume", VOLUME))
    for table in (indexed, indexed.with_columns(pl.col("Open", "Volume").cast(pl.String))):
        buffer = io.BytesIO()
        table.write_parquet(buffer)
        bars = is_read(buffer.getvalue())
        assert bars.sha256 == read_bars(PLAIN, Declarations(**UTC_24X7)).sha256
