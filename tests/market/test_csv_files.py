"""What stands above, around and between the rows: comments, byte-order marks, archives."""

import gzip
import io
import zipfile

import pytest

from app.errors import LimitExceeded
from app.market.bars import BarLimits, Declarations, read_bars
from tests.market.dialects import COUNT, PLAIN, UTC_24X7, csv, is_read, iso, ohlcv, refused


@pytest.mark.parametrize(
    "above",
    [
        "https://www.CryptoDataDownload.com",
        "Timestamps are UTC timezone,https://www.CryptoDataDownload.com",
        "# exported 2018-05-15\n# BTC/USD, 1h",
        "sep=,",
        "BTC/USD hourly\n\nall prices in USD",
        "\n\n",
    ],
)
def test_lines_above_the_header_are_passed_over(above: str) -> None:
    data = csv("date,open,high,low,close,volume", lambda t: [iso(t), *ohlcv(t)], above=above)
    is_read(data, timezone="UTC")
    rows = data.decode().splitlines()
    rows[-1] = rows[-1].rsplit(",", 2)[0] + ",,1"
    assert refused("\n".join(rows).encode(), **UTC_24X7)["rows"] == [COUNT]


def test_a_header_behind_a_comment_mark_and_comments_between_rows() -> None:
    data = csv("#timestamp,open,high,low,close,volume", lambda t: [iso(t), *ohlcv(t)])
    lines = data.decode().splitlines()
    is_read("\n".join([*lines[:5], "# new day", *lines[5:]]).encode(), timezone="UTC")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_byte_order_marks(encoding: str) -> None:
    mark = "\ufeff" if encoding in {"utf-16-le", "utf-16-be"} else ""
    is_read((mark + PLAIN.decode()).encode(encoding), timezone="UTC")


def test_carriage_returns_and_letters_that_are_not_utf8() -> None:
    data = (
        csv("Date,Open,High,Low,Close,Volume (€)", lambda t: [iso(t), *ohlcv(t)])
        .decode()
        .replace("\n", "\r\n")
    )
    is_read(data.encode("cp1252"), timezone="UTC")


def test_packed_files_are_unpacked() -> None:
    is_read(gzip.compress(PLAIN), timezone="UTC")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("BTCUSDT-1h.csv", PLAIN)
    bars = is_read(buffer.getvalue(), timezone="UTC")
    assert bars.sha256 == read_bars(PLAIN, Declarations(**UTC_24X7)).sha256
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("more.csv", PLAIN)
    assert "2 files" in refused(buffer.getvalue())["message"]


def test_packed_bombs_stop_at_the_limit() -> None:
    with pytest.raises(LimitExceeded) as caught:
        read_bars(gzip.compress(b"0" * 10_000_000), Declarations(), limits=BarLimits(max_bytes=1_000_000))
    assert caught.value.limit_name == "unpacked bytes of bars"


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(PLAIN)[:-20],
        b"\x1f\x8b nothing",
        b"PK\x03\x04 nothing",
        gzip.compress(gzip.compress(PLAIN)),
    ],
)
def test_damaged_and_nested_archives_are_unreadable(data: bytes) -> None:
    assert refused(data)["code"] == "E_UNREADABLE"
