"""Damaged and hostile files of bars end in an error of ours, never in another exception."""

import contextlib
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.errors import CaliperError
from app.market.bars import Declarations, load_bars, read_bars
from tests.market.making import make_bars

BARS = make_bars(620)
CSV = BARS.frame().write_csv().encode()
PARQUET = BARS.canonical_bytes()

damage = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["set", "cut", "put"]), st.binary(min_size=1, max_size=8)),
    min_size=1,
    max_size=6,
)


def spoil(data: bytes, wounds: list[tuple[float, str, bytes]]) -> bytes:
    spoiled = bytearray(data)
    for where, kind, junk in wounds:
        at = int(where * (len(spoiled) - 1))
        end = at if kind == "put" else at + len(junk)
        spoiled[at:end] = b"" if kind == "cut" else junk
    return bytes(spoiled)


@settings(max_examples=150, deadline=None)
@given(wounds=damage)
def test_damaged_csv_is_read_or_refused(wounds: list[tuple[float, str, bytes]]) -> None:
    with contextlib.suppress(CaliperError):
        bars = read_bars(spoil(CSV, wounds), Declarations())
        assert (bars.low > 0).all()
        assert (bars.utc_us[1:] > bars.utc_us[:-1]).all()


@settings(max_examples=150, deadline=None)
@given(wounds=damage)
def test_damaged_parquet_is_read_or_refused(wounds: list[tuple[float, str, bytes]]) -> None:
    for read in (lambda data: read_bars(data, Declarations()), load_bars):
        with contextlib.suppress(CaliperError):
            assert len(read(spoil(PARQUET, wounds))) <= len(BARS)


@settings(max_examples=100, deadline=None)
@example(data=b"\xef")
@example(data=b"\xef\xbb\xbf\n")
@given(data=st.binary(max_size=300))
def test_noise_is_refused(data: bytes) -> None:
    with contextlib.suppress(CaliperError):
        read_bars(io.BytesIO(data), Declarations(timezone="UTC"))
        raise AssertionError("noise was read as bars")


@pytest.mark.parametrize(
    "header", ["", "no json", "[]", "7", '{"colour": "red"}', '{"timezone": "../../etc"}']
)
def test_damaged_headers_are_refused(header: str) -> None:
    buffer = io.BytesIO()
    BARS.frame().write_parquet(buffer, metadata={"caliper-bars-1": header})
    with pytest.raises(CaliperError):
        load_bars(buffer.getvalue())
