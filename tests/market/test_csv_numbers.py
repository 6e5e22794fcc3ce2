"""Numbers as people and spreadsheets write them."""

from app.market.bars import Declarations, read_bars
from tests.market.dialects import COUNT, PRICES, UTC_24X7, VOLUME, csv, is_read, iso, ohlcv, refused


def comma(value: object) -> str:
    return str(value).replace(".", ",")


def test_semicolons_and_decimal_commas() -> None:
    is_read(
        csv("Date;Open;High;Low;Close;Volume", lambda t: [iso(t), *map(comma, ohlcv(t))], separator=";"),
        timezone="UTC",
    )


def test_tabs_and_bars_between_cells() -> None:
    for separator in "\t|":
        header = separator.join(["Date", "Open", "High", "Low", "Close", "Volume"])
        is_read(csv(header, lambda t: [iso(t), *ohlcv(t)], separator=separator), timezone="UTC")


def test_decimal_commas_with_points_between_thousands() -> None:
    def cells(t: int) -> list[object]:
        volume = f"{VOLUME[t]:,.2f}".translate(str.maketrans(",.", ".,"))
        return [iso(t), *map(comma, PRICES[t]), volume]

    is_read(csv("Date;Open;High;Low;Close;Volume", cells, separator=";"), timezone="UTC")


def test_whole_volumes_with_points_between_thousands_beside_decimal_commas() -> None:
    whole = [float(round(v * 100)) for v in VOLUME]

    def cells(t: int) -> list[object]:
        return [iso(t), *map(comma, PRICES[t]), f"{whole[t]:,.0f}".replace(",", ".")]

    is_read(csv("Date;Open;High;Low;Close;Volume", cells, separator=";"), volume=whole, timezone="UTC")


def test_quoted_numbers_with_commas_between_thousands() -> None:
    is_read(
        csv("Date,Open,High,Low,Close,Volume", lambda t: [iso(t), *(f'"{v:,}"' for v in ohlcv(t))]),
        timezone="UTC",
    )


def test_spaces_and_apostrophes_between_thousands_and_currency_signs() -> None:
    for mark in (" ", "'", "\u2019", "\u00a0", "\u202f"):

        def cells(t: int, mark: str = mark) -> list[object]:
            return [iso(t), *(f"${p}" for p in PRICES[t]), f"{VOLUME[t]:,}".replace(",", mark)]

        is_read(csv("Date,Open,High,Low,Close,Volume", cells), timezone="UTC")


def test_volume_in_thousands_and_millions() -> None:
    def cells(t: int) -> list[object]:
        return [iso(t), *PRICES[t], f"{t + 1}.5K" if t % 2 else f"{t + 1}.25M"]

    expected = [(t + 1.5) * 1e3 if t % 2 else (t + 1.25) * 1e6 for t in range(COUNT)]
    is_read(csv("Date,Open,High,Low,Close,Vol.", cells), volume=expected, timezone="UTC")


def test_numbers_that_may_be_fractions_or_thousands_want_a_declaration() -> None:
    def cells(t: int) -> list[object]:
        return [iso(t), "1,234", "1,239", "1,230", "1,235", "5"]

    data = csv("Date;Open;High;Low;Close;Volume", cells, separator=";")
    found = refused(data, **UTC_24X7)
    assert found["code"] == "E_NUMBER_AMBIGUOUS"
    assert "1,234" in found["message"]
    assert "decimal_mark" in found["fix"]
    assert read_bars(data, Declarations(**UTC_24X7, decimal_mark=",")).open[0] == 1.234
    assert read_bars(data, Declarations(**UTC_24X7, decimal_mark=".")).open[0] == 1234


def test_numbers_that_contradict_each_other_are_refused() -> None:
    data = csv(
        "Date;Open;High;Low;Close;Volume", lambda t: [iso(t), *(["1,05"] * 4), "1,234.5"], separator=";"
    )
    assert refused(data, **UTC_24X7)["code"] == "E_NUMBER_AMBIGUOUS"
