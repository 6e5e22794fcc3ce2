"""What is looked at as the hash passes: each look once, with its bytes, wherever the blocks' boundaries fall."""

import hashlib
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.checkpoint import inspect as inspecting
from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.limits import Meter, ReadLimits
from app.checkpoint.passing import MOST_SEEN, Passing
from app.checkpoint.source import BytesSource, FileSource, PartSource, PassedSource, Source
from app.errors import UnreadableCheckpoint
from tests.attacks.builders import honest_zip

DATA = bytes(index * 7 % 251 for index in range(5_000))


def opened(data: bytes = DATA) -> tuple[FileSource, Passing]:
    source = FileSource(io.BytesIO(data), Meter(ReadLimits()))
    passing = Passing(source)
    source.on_pass = passing.add
    return source, passing


@settings(max_examples=100, deadline=None)
@given(
    spans=st.lists(st.tuples(st.integers(0, 5_200), st.integers(0, 900)), max_size=12),
    block=st.integers(1, 700),
)
def test_every_look_gets_its_bytes_once(spans: list[tuple[int, int]], block: int) -> None:
    source, passing = opened()
    seen: list[tuple[int, bytes]] = []
    for offset, length in spans:

        def look(passed: Source, offset: int = offset, length: int = length) -> None:
            inside = max(0, min(length, passed.size - offset))
            seen.append((offset, passed.read_at(min(offset, passed.size), inside)))

        assert source.when_passed(offset, length, look)
    blocks = list(passing.watch(source.blocks(block)))
    assert b"".join(blocks) == DATA
    assert sorted(seen) == sorted((offset, DATA[offset : offset + length]) for offset, length in spans)
    assert "max_read_bytes" not in source.meter.spent
    passing.settle()
    assert len(seen) == len(spans)


def test_a_look_at_a_part_counts_from_the_part() -> None:
    source, passing = opened()
    seen: list[bytes] = []
    inner = PartSource(PartSource(source, 1_000, 500), 100, 50)
    assert inner.when_passed(10, 900, lambda passed: seen.append(passed.read_at(10, 40)))
    list(passing.watch(source.blocks(64)))
    assert seen == [DATA[1_110:1_150]]


def test_settling_reads_what_has_not_passed() -> None:
    source, passing = opened()
    seen: list[bytes] = []
    source.when_passed(200, 30, lambda passed: seen.append(passed.read_at(200, 30)))
    passing.settle()
    list(passing.watch(source.blocks(64)))
    assert seen == [DATA[200:230]]
    assert source.meter.spent["max_read_bytes"] == 30


def test_what_was_not_asked_for_is_not_there() -> None:
    passed = PassedSource(b"0123", 100, 200)
    assert passed.read_at(101, 2) == b"12"
    for offset, length in ((99, 2), (103, 2), (199, 2)):
        with pytest.raises(UnreadableCheckpoint):
            passed.read_at(offset, length)
    passed.prefetch([(0, 9)])
    assert not passed.when_passed(100, 1, lambda _: None)


def test_a_file_that_is_not_hashed_is_read_instead() -> None:
    for source in (FileSource(io.BytesIO(DATA), Meter(ReadLimits())), BytesSource(DATA)):
        assert not source.when_passed(0, 9, lambda _: None)


@pytest.mark.parametrize("block", [7, 64, 1 << 20])
def test_the_hash_is_that_of_the_file(block: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(inspecting, "_BLOCK", block)
    report = inspect_checkpoint(io.BytesIO(honest_zip()))
    assert report.sha256 == hashlib.sha256(honest_zip()).hexdigest()
    assert report.findings == ()


@pytest.mark.parametrize("block", [13, 4_096])
def test_a_lie_is_found_wherever_the_blocks_end(block: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(inspecting, "_BLOCK", block)
    data = bytearray(honest_zip())
    data[data.index(b"archive/data/0") + 13] = ord("9")
    found = inspect_checkpoint(io.BytesIO(bytes(data))).findings
    assert [finding.code for finding in found] == ["header_mismatch"]


def test_the_longest_header_and_the_whole_end_fit_one_look() -> None:
    from app.checkpoint.hidden_zip import SEARCHED
    from app.checkpoint.local_header import MOST_LOCAL

    assert max(SEARCHED, MOST_LOCAL) <= MOST_SEEN
